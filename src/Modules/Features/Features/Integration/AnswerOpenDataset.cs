using Marten;
using MediatR;
using Platform.Features.Contracts;
using Platform.Features.Datasets;
using Platform.Kernel;

namespace Platform.Features.Integration;

internal sealed class AnswerOpenDataset(IQuerySession session, IBlobStore blobs, CallerScope scope) : IRequestHandler<OpenDataset, Result<OpenedDataset>>
{
    public async Task<Result<OpenedDataset>> Handle(OpenDataset asked, CancellationToken ct)
    {
        var found = await Dataset.FindAsync(session, asked.Dataset, asked.Version, ct);
        if (found.Refusal is { } refusal) return refusal with { Field = "dataset" };
        var (_, version, profile) = found.Value;
        // The stream may be opened after this scope has ended, so it holds on to the tenant alone.
        var tenant = scope.Current.Tenant;
        return new OpenedDataset(asked.Dataset, version.ContentSha256, version.Rows, profile.Schema(), token => blobs.OpenAsync(tenant, version.ContentSha256, token));
    }
}
