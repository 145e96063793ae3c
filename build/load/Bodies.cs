using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Platform.Load;

/// <summary>Requests of the Open Inference Protocol, mostly one row each.</summary>
internal static class Bodies
{
    public static byte[] Json(Model model, params float[][] rows) => Encoding.UTF8.GetBytes(
        $$"""{"inputs":[{"name":"x","shape":[{{rows.Length}},{{Shape(model)}}],"datatype":"FP32","data":[{{string.Join(',', rows.SelectMany(row => row).Select(value => value.ToString(CultureInfo.InvariantCulture)))}}]}]}""");

    /// <summary>With the length of the JSON part, for the header <c>Inference-Header-Content-Length</c>; the same for all rows of a model.</summary>
    public static (int HeaderLength, byte[] Body) Binary(Model model, float[] row)
    {
        var header = Encoding.UTF8.GetBytes(
            $$$"""{"inputs":[{"name":"x","shape":[1,{{{Shape(model)}}}],"datatype":"FP32","parameters":{"binary_data_size":{{{row.Length * 4}}}}}],"parameters":{"binary_data_output":true}}""");
        return (header.Length, [.. header, .. MemoryMarshal.AsBytes(row.AsSpan())]);
    }

    private static string Shape(Model model) => string.Join(',', model.Row);
}
