namespace Platform.Inference.Predict;

/// <summary>"Did you mean …?"</summary>
internal static class Nearest
{
    /// <summary>The candidate with the fewest edits (Levenshtein, letter case ignored), when so few that a slip is likely; else null.</summary>
    public static string? To(string name, IEnumerable<string> candidates)
    {
        const int longest = 64;
        if (name.Length > longest) return null;
        string? best = null;
        var fewest = Math.Max(1, name.Length / 3) + 1;
        foreach (var candidate in candidates)
        {
            if (candidate.Length > longest || Math.Abs(candidate.Length - name.Length) >= fewest) continue;
            var edits = Edits(name.ToUpperInvariant(), candidate.ToUpperInvariant());
            if (edits < fewest) (fewest, best) = (edits, candidate);
        }
        return best;
    }

    /// <summary>The sentence's end for a refusal: a likely name, or the names there are.</summary>
    public static string Mend(string name, IReadOnlyCollection<string> candidates) =>
        To(name, candidates) is { } near ? $"Did you mean '{near}'?"
        : candidates.Count <= 20 ? $"Use one of: {string.Join(", ", candidates)}."
        : $"Use one of the {candidates.Count} names the model has; '{candidates.First()}' is one.";

    private static int Edits(string one, string other)
    {
        Span<int> row = stackalloc int[other.Length + 1];
        for (var j = 0; j <= other.Length; j++) row[j] = j;
        for (var i = 1; i <= one.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= other.Length; j++)
            {
                var above = row[j];
                row[j] = Math.Min(Math.Min(above, row[j - 1]) + 1, diagonal + (one[i - 1] == other[j - 1] ? 0 : 1));
                diagonal = above;
            }
        }
        return row[^1];
    }
}
