using Platform.Inference.Predict.Journal;

namespace Inference.Tests.Journal;

public sealed class JournalQueueTests : IDisposable
{
    private readonly JournalQueue queue = new(1000, 1 << 20);

    public void Dispose() => queue.Dispose();

    [Fact]
    public void A_tenant_of_few_rows_does_not_wait_behind_anothers_many()
    {
        Add("flood", 20);
        Taken(light: false).ShouldBe(Enumerable.Repeat("flood", 20));
        Add("flood", 10);
        Add("quiet", 1);
        Taken(light: true).ShouldBe(["quiet"]);
        queue.Written(["quiet"]);
        queue.Written([.. Enumerable.Repeat("flood", 20)]);
        Taken(light: false).ShouldBe(Enumerable.Repeat("flood", 10));
    }

    [Fact]
    public void One_who_writes_much_stops_being_light()
    {
        Add("flood", 1);
        _ = Taken(light: false);
        Add("flood", 5);
        // Four under way are few: the one being written and these three.
        Taken(light: true).ShouldBe(Enumerable.Repeat("flood", 3));
        Taken(light: false).ShouldBe(Enumerable.Repeat("flood", 2));
    }

    private void Add(string tenant, int rows)
    {
        for (var i = 0; i < rows; i++)
        {
            var entry = new JournalEntry();
            entry.Begin(durable: true);
            entry.TenantField(tenant);
            queue.TryAdd(entry).ShouldBeTrue();
        }
    }

    private string[] Taken(bool light)
    {
        var batch = new List<JournalEntry>();
        (light ? queue.TakeLight(batch, 1 << 20, TimeSpan.Zero) : queue.Take(batch, 1 << 20, TimeSpan.Zero)).ShouldBeTrue();
        return [.. batch.Select(entry => entry.Tenant)];
    }
}
