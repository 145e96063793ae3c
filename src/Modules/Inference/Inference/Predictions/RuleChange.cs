using System.Text.Json;

namespace Platform.Inference.Predictions;

/// <summary>One rule that fired for one row, as a person reads it: from what to what, or what it says.</summary>
/// <param name="From">With the digits that the journal has.</param>
internal sealed record RuleChange(int Row, string Rule, string From, string? To, string? Flag)
{
    /// <summary>Of what the journal keeps in <see cref="JournalRow.Rules"/>: each rule goes on from what the one before it left.</summary>
    public static RuleChange[] Of(JsonElement kept)
    {
        List<RuleChange> changes = [];
        foreach (var row in kept.EnumerateArray())
        {
            var from = row.GetProperty("before").GetRawText();
            foreach (var fired in row.GetProperty("fired").EnumerateArray())
            {
                var to = fired.TryGetProperty("prediction", out var left) ? left.GetRawText() : null;
                changes.Add(new(row.GetProperty("row").GetInt32(), fired.GetProperty("name").GetString()!, from, to, fired.TryGetProperty("flag", out var flag) ? flag.GetString() : null));
                from = to ?? from;
            }
        }
        return [.. changes];
    }
}
