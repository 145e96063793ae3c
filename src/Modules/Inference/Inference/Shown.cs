using System.Text.Encodings.Web;
using System.Text.Json;

namespace Platform.Inference;

/// <summary>Values as the pages show them.</summary>
internal static class Shown
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Milliseconds(double? value) => value is { } ms ? $"{ms:0.###} ms" : "–";

    /// <summary>Whole numbers from 1,000 on, four digits below.</summary>
    public static string Number(double value) => Math.Abs(value) >= 1000 ? value.ToString("N0") : value.ToString("G4");

    public static string Size(long? bytes) => bytes is { } size ? $"{size / 1048576.0:F1} MiB" : "–";

    public static string Json(JsonElement? element) => element is { } json ? JsonSerializer.Serialize(json, Indented) : "–";

    /// <summary>One line of it, cut where it grows long.</summary>
    public static string Brief(JsonElement? element) =>
        element is not { } json ? "…" : json.GetRawText() is var text && text.Length <= 80 ? text : text[..80] + "…";
}
