using System.Text.Json;
using Platform.Inference.Predict.Runtimes;

namespace Platform.Inference.Predict;

/// <summary>Tensor elements as JSON. Floats are written with the fewest digits that read back to the same bits; what JSON cannot say
/// (NaN, Infinity) is written as a text, which numpy reads.</summary>
internal static class TensorJson
{
    /// <summary>Writes elements from <paramref name="start"/> on, as members of an open array or, for a single one, as a value.</summary>
    public static void Write(Utf8JsonWriter json, Tensor tensor, int start, int count)
    {
        switch (tensor.Layout.Datatype)
        {
            case Datatype.FP32: foreach (var value in tensor.Values<float>().Slice(start, count)) Number(json, value); break;
            case Datatype.FP64: foreach (var value in tensor.Values<double>().Slice(start, count)) Number(json, value); break;
            case Datatype.FP16: foreach (var value in tensor.Values<Half>().Slice(start, count)) Number(json, (float)value); break;
            case Datatype.BF16: foreach (var value in tensor.Values<ushort>().Slice(start, count)) Number(json, BFloat16.Value(value)); break;
            case Datatype.Int64: foreach (var value in tensor.Values<long>().Slice(start, count)) json.WriteNumberValue(value); break;
            case Datatype.Int32: foreach (var value in tensor.Values<int>().Slice(start, count)) json.WriteNumberValue(value); break;
            case Datatype.Int16: foreach (var value in tensor.Values<short>().Slice(start, count)) json.WriteNumberValue(value); break;
            case Datatype.Int8: foreach (var value in tensor.Values<sbyte>().Slice(start, count)) json.WriteNumberValue(value); break;
            case Datatype.UInt64: foreach (var value in tensor.Values<ulong>().Slice(start, count)) json.WriteNumberValue(value); break;
            case Datatype.UInt32: foreach (var value in tensor.Values<uint>().Slice(start, count)) json.WriteNumberValue(value); break;
            case Datatype.UInt16: foreach (var value in tensor.Values<ushort>().Slice(start, count)) json.WriteNumberValue(value); break;
            case Datatype.UInt8: foreach (var value in tensor.Values<byte>().Slice(start, count)) json.WriteNumberValue(value); break;
            case Datatype.Bool: foreach (var value in tensor.Values<byte>().Slice(start, count)) json.WriteBooleanValue(value != 0); break;
            case Datatype.Bytes: for (var i = start; i < start + count; i++) Text(json, tensor.Text(i)); break;
            default: throw new InvalidOperationException($"{tensor.Layout.Datatype} has no form in JSON.");
        }
    }

    /// <summary>The element as a number; NaN when it is a text.</summary>
    public static double Number(Tensor tensor, int index) => tensor.Layout.Datatype switch
    {
        Datatype.FP32 => tensor.Values<float>()[index],
        Datatype.FP64 => tensor.Values<double>()[index],
        Datatype.FP16 => (double)tensor.Values<Half>()[index],
        Datatype.BF16 => BFloat16.Value(tensor.Values<ushort>()[index]),
        Datatype.Int64 => tensor.Values<long>()[index],
        Datatype.Int32 => tensor.Values<int>()[index],
        Datatype.Int16 => tensor.Values<short>()[index],
        Datatype.Int8 => tensor.Values<sbyte>()[index],
        Datatype.UInt64 => tensor.Values<ulong>()[index],
        Datatype.UInt32 => tensor.Values<uint>()[index],
        Datatype.UInt16 => tensor.Values<ushort>()[index],
        Datatype.UInt8 or Datatype.Bool => tensor.Values<byte>()[index],
        _ => double.NaN,
    };

    private static void Number(Utf8JsonWriter json, float value)
    {
        if (float.IsFinite(value)) json.WriteNumberValue(value);
        else json.WriteStringValue(NonFinite(value));
    }

    private static void Number(Utf8JsonWriter json, double value)
    {
        if (double.IsFinite(value)) json.WriteNumberValue(value);
        else json.WriteStringValue(NonFinite(value));
    }

    private static ReadOnlySpan<byte> NonFinite(double value) => double.IsNaN(value) ? "NaN"u8 : value > 0 ? "Infinity"u8 : "-Infinity"u8;

    /// <summary>A model's text need not be UTF-8; JSON must be.</summary>
    private static void Text(Utf8JsonWriter json, ReadOnlySpan<byte> text)
    {
        if (System.Text.Unicode.Utf8.IsValid(text)) json.WriteStringValue(text);
        else json.WriteStringValue(System.Text.Encoding.UTF8.GetString(text));
    }
}
