using Platform.Registry.Tracking;

namespace Platform.Registry.Mlflow;

/// <summary>What keys, values and batches may be, as in mlflow/utils/validation.py. Each finding becomes the call's.</summary>
internal static class MlflowRules
{
    public const int LongestTag = RunKeys.LongestTag, LongestName = RunKeys.LongestName, LongestRegistryTag = 5_000, LongestDescription = 10_000;
    public const int MostBytesInBatch = 1_000_000;

    /// <summary>A key of a metric, parameter or tag: also a file's name to some clients, so it may not mean another file.</summary>
    public static string Key(MlflowCall call, string what, string name = "key")
    {
        var key = call.Required(name, RunKeys.Longest);
        if (key.Length == 0) return key;
        if (!RunKeys.HasOnlyLetters(key))
        {
            call.Refuse($"Invalid {what} name: '{key}'. Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/).");
        }
        else if (!RunKeys.MeansItself(key))
        {
            call.Refuse($"Invalid {what} name: '{key}'. Names may be treated as files in certain cases, and must not resolve to other names when treated as such.");
        }

        return key;
    }

    /// <summary>A run's tag. What is too long is cut and not refused: clients rely on it.</summary>
    public static Pair RunTag(MlflowCall call) => new(Key(call, "tag"), Cut(call.Text("value"), LongestTag));

    /// <summary>A run's parameter, cut likewise; so the same long value again is the same value.</summary>
    public static Pair RunParam(MlflowCall call) => new(Key(call, "parameter"), Cut(call.Text("value"), RunKeys.LongestParameter));

    /// <summary>The first characters, of which one beyond the basic plane is one and stays whole.</summary>
    private static string Cut(string? value, int longest)
    {
        if (value is null || value.Length <= longest) return value ?? "";
        var at = 0;
        foreach (var rune in value.EnumerateRunes())
        {
            if (longest-- == 0) return value[..at];
            at += rune.Utf16SequenceLength;
        }

        return value;
    }

    public static Pair Tag(MlflowCall call) => new(Key(call, "tag"), call.Text("value", LongestTag) ?? "");

    public static Pair RegistryTag(MlflowCall call) => new(Key(call, "tag"), call.Text("value", LongestRegistryTag) ?? "");

    public static Pair Param(MlflowCall call) => new(Key(call, "parameter"), call.Text("value", RunKeys.LongestParameter) ?? "");

    public static Metric Metric(MlflowCall call)
    {
        var key = Key(call, "metric");
        var (value, timestamp, step) = (call.Double("value"), call.Int64("timestamp"), call.Int64("step") ?? 0);
        if (value is null) call.Refuse($"Got invalid value for metric '{key}'. Please specify value as a valid double (64-bit floating point)");
        if (timestamp is null or < 0) call.Refuse($"Got invalid timestamp {timestamp} for metric '{key}' (value={value}). Timestamp must be a nonnegative long (64-bit integer)");
        return new(key, value ?? 0, timestamp ?? 0, step);
    }

    /// <summary>A metric with the logged model it is of; the model's id is empty where it is the run's alone.</summary>
    public static ModelMetric OfModel(MlflowCall call) => new(call.Text("model_id", 64) ?? "", Guid.Empty, Metric(call), call.Text("dataset_name", LongestName) ?? "", call.Text("dataset_digest", 36) ?? "");

    public static void Limit(MlflowCall call, string what, int count, int most)
    {
        if (count > most) call.Refuse($"A batch logging request can contain at most {most} {what}. Got {count} {what}. Please split up {what} across multiple requests and try again.");
    }

    /// <summary>Refuses what comes twice: which of its values would count?</summary>
    public static void Once(MlflowCall call, IReadOnlyList<Pair> parameters)
    {
        var twice = parameters.GroupBy(p => p.Key).Where(same => same.Count() > 1).Select(same => $"'{same.Key}'").ToArray();
        if (twice.Length > 0) call.Refuse($"Duplicate parameter keys have been submitted: [{string.Join(", ", twice)}]. Please ensure the request contains only one param value per param key.");
    }

    public static Dictionary<string, string> Dictionary(IEnumerable<Pair> tags)
    {
        Dictionary<string, string> last = [];
        foreach (var tag in tags) last[tag.Key] = tag.Value;
        return last;
    }

    /// <summary>The id of a run, under either of its names.</summary>
    public static Guid RunId(MlflowCall call)
    {
        var given = call.RequiredId("run_id", "run_uuid");
        if (call.Wrong is null && !Guid.TryParseExact(given, "N", out var id)) call.Take<Guid>(RunStore.Missing(given));
        else id = Guid.TryParseExact(given, "N", out var parsed) ? parsed : default;
        return id;
    }

    public static long ExperimentId(MlflowCall call)
    {
        var given = call.RequiredId("experiment_id");
        if (call.Wrong is null && !long.TryParse(given, out _)) call.Take<long>(ExperimentStore.Missing(given));
        return long.TryParse(given, out var id) ? id : -1;
    }

    public static Lifecycle View(MlflowCall call, string name)
    {
        switch (call.Text(name))
        {
            case null or "" or "ACTIVE_ONLY":
                return Lifecycle.Active;
            case "DELETED_ONLY":
                return Lifecycle.Deleted;
            case "ALL":
                return Lifecycle.All;
            case var other:
                call.Refuse($"Invalid value '{other}' for parameter '{name}' supplied: it is ACTIVE_ONLY, DELETED_ONLY or ALL.");
                return Lifecycle.Active;
        }
    }
}
