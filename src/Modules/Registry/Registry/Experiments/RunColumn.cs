using Platform.Registry.Runs;
using Platform.Registry.Tracking;

namespace Platform.Registry.Experiments;

/// <summary>A column of a table of runs, written as <c>metrics.rmse</c>: what stands before the first dot is the kind, the rest the key, whatever characters it is of.</summary>
internal sealed record RunColumn(RunField Field, string Key)
{
    public static bool IsOne(string? text) => Parse(text) is not null;

    public static RunColumn? Parse(string? text)
    {
        if (text is not { Length: > 0 and <= 300 } || text.Contains('\0') || text.IndexOf('.') is not (> 0 and var dot) || dot == text.Length - 1) return null;
        RunField? field = text[..dot] switch { "metrics" => RunField.Metric, "params" => RunField.Param, "tags" => RunField.Tag, "attributes" => RunField.Attribute, _ => null };
        return field is { } known ? new(known, text[(dot + 1)..]) : null;
    }

    /// <summary>As it stands in an address and in a saved view.</summary>
    public override string ToString() => $"{Prefix}.{Key}";

    /// <summary>As a filter and an order name it.</summary>
    public string Identifier => $"{Prefix}.{SearchFilter.Quoted(Key)}";

    public bool IsNumber => Field is RunField.Metric;

    public string Of(RunView run) => Field switch
    {
        RunField.Metric => run.Metrics.TryGetValue(Key, out var value) ? Shown.Figure(value) : "",
        RunField.Param => run.Parameters.GetValueOrDefault(Key, ""),
        RunField.Tag => run.Tags.GetValueOrDefault(Key, ""),
        _ => Key switch { "user_id" => run.User, "status" => run.Status, "run_id" => run.Id, "artifact_uri" => run.ArtifactUri, _ => "" },
    };

    private string Prefix => Field switch { RunField.Metric => "metrics", RunField.Param => "params", RunField.Tag => "tags", _ => "attributes" };
}
