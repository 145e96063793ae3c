using Marten;

namespace Platform.Broken.Predict;

/// <summary>Law 5: the store on the prediction path.</summary>
internal sealed class SlowPath(IDocumentStore store)
{
    public IQuerySession Open() => store.QuerySession("acme");
}
