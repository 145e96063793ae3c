using MediatR;
using Platform.Inference.Predict;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Endpoints;

/// <summary>Loads an endpoint's model from its page, so that the next request need not wait for that. Over HTTP the protocol's repository does the same.</summary>
internal static class LoadModel
{
    [Needs(Permissions.Write)]
    internal sealed record Command(string Name) : IRequest<Result<Done>>;

    internal sealed class Handler(ServingTable table, CallerScope scope) : IRequestHandler<Command, Result<Done>>
    {
        public async Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            var found = table.Find(scope.Current.Tenant, command.Name);
            if (found.Refusal is { } refusal) return refusal;
            var loaded = await found.Value.Model.UseAsync(ct);
            if (loaded.Refusal is { } unloadable) return unloadable;
            loaded.Value.Release();
            return Done.Value;
        }
    }
}

/// <summary>Takes an endpoint's model out of memory. The endpoint goes on answering: its next request loads the model again.</summary>
internal static class UnloadModel
{
    [Needs(Permissions.Write)]
    internal sealed record Command(string Name) : IRequest<Result<Done>>;

    internal sealed class Handler(ServingTable table, ModelCache models, CallerScope scope) : IRequestHandler<Command, Result<Done>>
    {
        public Task<Result<Done>> Handle(Command command, CancellationToken ct)
        {
            var found = table.Find(scope.Current.Tenant, command.Name);
            if (found.IsOk) models.Unload(found.Value.Model);
            return Task.FromResult<Result<Done>>(found.Refusal is { } refusal ? refusal : Done.Value);
        }
    }
}
