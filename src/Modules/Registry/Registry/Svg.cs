using System.Net;
using Microsoft.AspNetCore.Components;

namespace Platform.Registry;

/// <summary>What the charts of the pages are written with.</summary>
internal static class Svg
{
    public static string N(double value) => value.ToString("0.##");

    /// <summary>A text: Razor knows an element of its own by the name of SVG's.</summary>
    public static MarkupString Text(double x, double y, string content, string anchor = "start", string css = "registry-label") =>
        new($"<text x=\"{N(x)}\" y=\"{N(y)}\" text-anchor=\"{anchor}\" class=\"{css}\">{WebUtility.HtmlEncode(content)}</text>");

    /// <summary>The theme's colours of series, which go with light and dark.</summary>
    public static string Colour(int series) => $"var(--rz-series-{(series % 12) + 1})";
}
