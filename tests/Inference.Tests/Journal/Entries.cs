using Platform.Inference.Predict.Journal;

namespace Inference.Tests.Journal;

/// <summary>Journal rows as the prediction path would write them.</summary>
internal static class Entries
{
    public static JournalEntry Entry(this JournalWriter journal, string tenant, int units = 1, bool durable = true, string inputs = """{"size": 1}""",
        string endpoint = "houses", string priceClass = "standard@1", DateTimeOffset? at = null, Guid? id = null)
    {
        var entry = journal.Rent(durable);
        entry.Field(System.Text.Encoding.UTF8.GetBytes(inputs));
        entry.Null();
        entry.Field("[1.5]"u8);
        entry.Null();
        entry.Null();
        entry.TenantField(tenant);
        entry.IdAndTime(id ?? Guid.CreateVersion7(at ?? DateTimeOffset.UtcNow));
        entry.Field(endpoint);
        entry.Field("model");
        entry.Field(3);
        entry.Field(2);
        entry.Field("predict");
        entry.Field(units);
        entry.Field(priceClass);
        entry.Field("key:abc");
        foreach (var microseconds in new[] { 10, 0, 5, 7 }) entry.Field(microseconds);
        return entry;
    }

    public static async Task<JournalOutcome> WriteAsync(this JournalWriter journal, JournalEntry entry)
    {
        journal.TryWrite(entry).ShouldBeTrue();
        var outcome = await entry.Outcome;
        journal.Return(entry);
        return outcome;
    }
}
