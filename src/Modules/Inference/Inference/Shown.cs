using System.Text.Encodings.Web;
using System.Text.Json;

namespace Platform.Inference;

/// <summary>Values as the pages show them.</summary>
internal static class Shown
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Three digits or so, as much as the clock is good for.</summary>
    public static string Milliseconds(double? value) => value switch
    {
        null => "–",
        >= 100 => $"{value:N0} ms",
        >= 10 => $"{value:0.0} ms",
        >= 1 => $"{value:0.00} ms",
        _ => $"{value:0.000} ms",
    };

    /// <summary>How long ago, as roughly as a person would say it.</summary>
    public static string Ago(DateTimeOffset? at, DateTimeOffset now) => at is not { } then ? "never" : (now - then) switch
    {
        { TotalSeconds: < 5 } => "just now",
        { TotalMinutes: < 1 } ago => $"{ago.TotalSeconds:0} s ago",
        { TotalHours: < 1 } ago => $"{ago.TotalMinutes:0} min ago",
        { TotalDays: < 1 } ago => $"{ago.TotalHours:0} h ago",
        var ago => $"{ago.TotalDays:0} days ago",
    };

    /// <summary>Whole numbers from 1,000 on, four digits below.</summary>
    public static string Number(double value) => Math.Abs(value) >= 1000 ? value.ToString("N0") : value.ToString("G4");

    public static string Size(long? bytes) => bytes switch
    {
        null => "–",
        < 1 << 20 => $"{bytes / 1024.0:F0} KiB",
        < 1L << 30 => $"{bytes / 1048576.0:F1} MiB",
        _ => $"{bytes / 1073741824.0:F1} GiB",
    };

    public static string Json(JsonElement? element) => element is { } json ? JsonSerializer.Serialize(json, Indented) : "–";

    /// <summary>One line of it, cut where it grows long; of a list of one, that one.</summary>
    public static string Brief(JsonElement? element) =>
        element is not { } json ? "…" : (json.ValueKind is JsonValueKind.Array && json.GetArrayLength() == 1 ? json[0] : json).GetRawText() is var text && text.Length <= 80 ? text : text[..80] + "…";
}
