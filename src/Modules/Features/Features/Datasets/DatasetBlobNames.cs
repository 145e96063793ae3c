using System.Runtime.CompilerServices;
using Marten;
using Platform.Kernel;

namespace Platform.Features.Datasets;

/// <summary>The files of every version of every dataset there is.</summary>
internal sealed class DatasetBlobNames(IDocumentStore store) : IBlobNames
{
    public async IAsyncEnumerable<string> OfAsync(string tenant, [EnumeratorCancellation] CancellationToken ct)
    {
        await using var session = store.QuerySession(tenant);
        await foreach (var dataset in session.Query<Dataset>().ToAsyncEnumerable(ct))
        {
            foreach (var file in dataset.Versions.SelectMany(v => v.Files())) yield return file;
        }
    }
}
