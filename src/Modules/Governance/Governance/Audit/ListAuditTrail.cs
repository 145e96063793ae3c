using System.Text.Json;
using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;

namespace Platform.Governance.Audit;

/// <summary>Who did what when, straight from the tenant's part of the event store: nothing can be done that is not in it, and nothing in it can be changed through the platform.</summary>
internal static class ListAuditTrail
{
    /// <param name="Before">Only entries with a lower sequence: the last one of the page before.</param>
    /// <param name="Limit">1 to 500.</param>
    /// <param name="What">Only events whose name begins so, such as <c>registry.</c>.</param>
    /// <param name="About">Only events of one stream, such as <c>model:house-prices</c>.</param>
    [Needs(Permissions.Read)]
    internal sealed record Query(long? Before = null, int Limit = 100, string? What = null, string? About = null) : IRequest<Result<IReadOnlyList<Entry>>>;

    /// <param name="Sequence">Position in the store; ascending in time.</param>
    /// <param name="By">Subject: <c>key:{id}</c>, <c>person:{id}</c> or <c>system</c>.</param>
    /// <param name="What">The event's name, such as <c>governance.approval-granted</c>.</param>
    /// <param name="About">The stream it belongs to.</param>
    /// <param name="Details">The event itself, with byte arrays and long texts shortened.</param>
    internal sealed record Entry(long Sequence, DateTimeOffset At, string By, string What, string About, JsonElement Details);

    internal sealed class Rules : AbstractValidator<Query>
    {
        public Rules() => RuleFor(q => q.Limit).InclusiveBetween(1, 500);
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("audit", Get).WithName(nameof(ListAuditTrail)).Needs(Permissions.Read).WithSummary("Read the audit trail, newest first");

    private static Task<Results<Ok<IReadOnlyList<Entry>>, ProblemHttpResult>> Get(
        long? before, int? limit, string? what, string? about, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Query(before, limit ?? 100, what, about), ct).ToOk();

    internal sealed class Handler(IQuerySession session) : IRequestHandler<Query, Result<IReadOnlyList<Entry>>>
    {
        public async Task<Result<IReadOnlyList<Entry>>> Handle(Query query, CancellationToken ct)
        {
            IQueryable<JasperFx.Events.IEvent> events = session.Events.QueryAllRawEvents();
            if (query.Before is { } before) events = events.Where(e => e.Sequence < before);
            if (query.What is { Length: > 0 } what) events = events.Where(e => e.EventTypeName.StartsWith(what));
            if (query.About is { Length: > 0 } about) events = events.Where(e => e.StreamKey == about);
            var page = await events.OrderByDescending(e => e.Sequence).Take(query.Limit).ToListAsync(ct);
            return Result<IReadOnlyList<Entry>>.Ok([.. page.Select(e => new Entry(e.Sequence, e.Timestamp, e.UserName ?? "system", e.EventTypeName, e.StreamKey!, AuditDetails.Of(e.Data)))]);
        }
    }
}
