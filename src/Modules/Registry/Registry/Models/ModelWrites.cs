using JasperFx.Events;
using Marten;
using MediatR;
using Platform.Kernel;
using Platform.Registry.Contracts;
using Platform.Registry.Retention;

namespace Platform.Registry.Models;

/// <summary>Writing to models, the same for every dialect.</summary>
internal static class ModelWrites
{
    /// <summary>Reads a model under its lock, has the events decided, and saves them.</summary>
    public static async Task<Result<RegisteredModel>> WriteModelAsync(this IDocumentSession session, string name, Func<RegisteredModel, Task<Result<IReadOnlyList<object>>>> decide, CancellationToken ct)
    {
        // A stream that is not there cannot be locked, and the look tells before the wait.
        if (await session.FindModelAsync(name, ct) is null) return Refusal.NotFound("model", name);
        var stream = await session.Events.FetchForExclusiveWriting<RegisteredModel>(RegisteredModel.Key(name), ct);
        if (stream.Aggregate is not { Deleted: false } model) return Refusal.NotFound("model", name);
        var events = await decide(model);
        if (events.Refusal is { } refusal) return refusal;
        if (events.Value.Count == 0) return model;
        stream.AppendMany(events.Value);
        await session.SaveChangesAsync(ct);
        return (await session.LoadAsync<RegisteredModel>(RegisteredModel.Key(name), ct))!;
    }

    /// <summary>The same for one of its versions.</summary>
    public static Task<Result<RegisteredModel>> WriteVersionAsync(
        this IDocumentSession session, string name, int number, Func<RegisteredModel, ModelVersion, Task<Result<IReadOnlyList<object>>>> decide, CancellationToken ct) =>
        session.WriteModelAsync(name, async model => await session.LoadAsync<ModelVersion>(ModelVersion.Key(name, number), ct) is { } version
            ? await decide(model, version) : Refusal.NotFound("model version", $"{name}/{number}"), ct);

    /// <summary>The stream of a model that is to be registered. Whoever else registers the name waits here and then finds it taken, so that nobody's write fails.</summary>
    public static async Task<IEventStream<RegisteredModel>> FetchForRegisteringAsync(this IDocumentSession session, string name, CancellationToken ct)
    {
        // What is not there cannot be locked as a row; the lock goes with the transaction that writes.
        await session.BeginTransactionAsync(ct);
        await session.AdvancedSql.QueryAsync<string>("select pg_advisory_xact_lock(hashtextextended('registry.model ' || ? || ' ' || ?, 0))::text", ct, session.TenantId, name);
        return await session.Events.FetchForWriting<RegisteredModel>(RegisteredModel.Key(name), ct);
    }

    /// <summary>Why a model keeps its name: it is served, or held.</summary>
    public static async Task<Refusal?> WhyNeededAsync(this IMediator mediator, RetentionStore retention, string tenant, string model, CancellationToken ct) =>
        await mediator.Send(new FindEndpointsOf(model), ct) is [_, ..] endpoints
            ? Refusal.Conflict("model-served", $"'{model}' is served by {string.Join(", ", endpoints.Select(e => $"'{e.Name}'").Take(10))}.", "name", "Retire those endpoints first.")
            : await retention.HeldAsync(tenant, model, ct);

    public static Task<Result<IReadOnlyList<object>>> Events(params object[] events) => Task.FromResult(Result<IReadOnlyList<object>>.Ok(events));
}
