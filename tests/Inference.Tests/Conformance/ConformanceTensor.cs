using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Google.Protobuf;
using Platform.Inference.Predict.OpenInference;
using Platform.Inference.Predict.OpenInference.Wire;
using Platform.Inference.Predict.Runtimes;

namespace Inference.Tests.Conformance;

/// <summary>A tensor of the conformance data, in every form the protocol has for it.</summary>
/// <param name="Bytes">Little-endian; as in the binary extension for texts.</param>
internal sealed record ConformanceTensor(string Name, Datatype Datatype, long[] Shape, byte[] Bytes)
{
    /// <summary>ONNX's element types (onnx.proto, TensorProto.DataType).</summary>
    private static readonly Dictionary<ulong, Datatype> Types = new()
    {
        [1] = Datatype.FP32,
        [2] = Datatype.UInt8,
        [3] = Datatype.Int8,
        [4] = Datatype.UInt16,
        [5] = Datatype.Int16,
        [6] = Datatype.Int32,
        [7] = Datatype.Int64,
        [8] = Datatype.Bytes,
        [9] = Datatype.Bool,
        [10] = Datatype.FP16,
        [11] = Datatype.FP64,
        [12] = Datatype.UInt32,
        [13] = Datatype.UInt64,
        [16] = Datatype.BF16,
    };

    private bool Is16Bit => Datatype is Datatype.FP16 or Datatype.BF16;

    private int Count => (int)Shape.Aggregate(1L, (count, size) => count * size);

    /// <summary>From a TensorProto. Values lie in raw_data, or in the list of their type.</summary>
    public static ConformanceTensor Parse(byte[] proto)
    {
        var (name, type, shape) = ("", Datatype.FP32, new List<long>());
        List<byte> bytes = [];
        var reader = new WireReader(proto);
        while (reader.Next(out var field, out var wire))
        {
            switch (field)
            {
                case 1: foreach (var size in Varints(ref reader, wire)) shape.Add((long)size); break;
                case 2: type = Types[reader.Varint()]; break;
                case 8: name = Encoding.UTF8.GetString(reader.Bytes()); break;
                case 6: bytes.AddRange(Prefixed(reader.Bytes())); break;
                case 4 or 9 or 10: bytes.AddRange(reader.Bytes(wire)); break;
                case 5 or 7 or 11: foreach (var value in Varints(ref reader, wire)) bytes.AddRange(BitConverter.GetBytes(value).AsSpan(0, type.Size())); break;
                default: reader.Skip(wire); break;
            }
        }
        return new(name, type, [.. shape], [.. bytes]);
    }

    public static ConformanceTensor Parse(JsonElement output)
    {
        var type = Datatypes.Parse(output.GetProperty("datatype").GetString()!)!.Value;
        return new(output.GetProperty("name").GetString()!, type, [.. output.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64())],
            [.. output.GetProperty("data").EnumerateArray().SelectMany(element => Element(type, element))]);
    }

    public void WriteJson(Utf8JsonWriter json, bool binary)
    {
        json.WriteStartObject();
        json.WriteString("name", Name);
        json.WriteString("datatype", Datatype.Name());
        json.WriteStartArray("shape");
        foreach (var size in Shape) json.WriteNumberValue(size);
        json.WriteEndArray();
        if (binary)
        {
            json.WriteStartObject("parameters");
            json.WriteNumber("binary_data_size", Bytes.Length);
            json.WriteEndObject();
        }
        else
        {
            json.WriteStartArray("data");
            foreach (var element in Elements()) json.WriteRawValue(element);
            json.WriteEndArray();
        }
        json.WriteEndObject();
    }

    public ModelInferRequest.Types.InferInputTensor Described(bool typed) =>
        new() { Name = Name, Datatype = Datatype.Name(), Shape = { Shape }, Contents = typed ? Contents() : null };

    /// <summary>Null when they are equal, as far as the type's precision goes.</summary>
    public string? Differs(ConformanceTensor actual)
    {
        if (actual.Datatype != Datatype || !actual.Shape.SequenceEqual(Shape)) return $"{Name}: {actual.Datatype} [{string.Join(",", actual.Shape)}] instead of {Datatype} [{string.Join(",", Shape)}]";
        if (actual.Bytes.AsSpan().SequenceEqual(Bytes)) return null;
        if (!Datatype.IsFloat() || actual.Bytes.Length != Bytes.Length) return $"{Name}: other values";
        var (relative, absolute) = Is16Bit ? (1e-2, 1e-2) : (1e-3, 1e-5);
        for (var i = 0; i < Count; i++)
        {
            var (expected, got) = (Number(i), actual.Number(i));
            if (expected.Equals(got) || Math.Abs(expected - got) <= absolute + (relative * Math.Abs(expected))) continue;
            return $"{Name}[{i}]: {got} instead of {expected}";
        }
        return null;
    }

    private InferTensorContents Contents()
    {
        var contents = new InferTensorContents();
        for (var i = 0; i < (Datatype is Datatype.Bytes ? 0 : Count); i++)
        {
            var at = Bytes.AsSpan(i * Datatype.Size());
            switch (Datatype)
            {
                case Datatype.Bool: contents.BoolContents.Add(at[0] != 0); break;
                case Datatype.Int8: contents.IntContents.Add((sbyte)at[0]); break;
                case Datatype.Int16: contents.IntContents.Add(BinaryPrimitives.ReadInt16LittleEndian(at)); break;
                case Datatype.Int32: contents.IntContents.Add(BinaryPrimitives.ReadInt32LittleEndian(at)); break;
                case Datatype.Int64: contents.Int64Contents.Add(BinaryPrimitives.ReadInt64LittleEndian(at)); break;
                case Datatype.UInt8: contents.UintContents.Add(at[0]); break;
                case Datatype.UInt16: contents.UintContents.Add(BinaryPrimitives.ReadUInt16LittleEndian(at)); break;
                case Datatype.UInt32: contents.UintContents.Add(BinaryPrimitives.ReadUInt32LittleEndian(at)); break;
                case Datatype.UInt64: contents.Uint64Contents.Add(BinaryPrimitives.ReadUInt64LittleEndian(at)); break;
                case Datatype.FP32: contents.Fp32Contents.Add(BinaryPrimitives.ReadSingleLittleEndian(at)); break;
                case Datatype.FP64: contents.Fp64Contents.Add(BinaryPrimitives.ReadDoubleLittleEndian(at)); break;
            }
        }
        foreach (var text in Texts()) contents.BytesContents.Add(ByteString.CopyFrom(text));
        return contents;
    }

    private double Number(int index)
    {
        var at = Bytes.AsSpan(index * Datatype.Size());
        return Datatype switch
        {
            Datatype.FP16 => (double)BinaryPrimitives.ReadHalfLittleEndian(at),
            Datatype.BF16 => BitConverter.Int32BitsToSingle(BinaryPrimitives.ReadUInt16LittleEndian(at) << 16),
            Datatype.FP32 => BinaryPrimitives.ReadSingleLittleEndian(at),
            _ => BinaryPrimitives.ReadDoubleLittleEndian(at),
        };
    }

    /// <summary>Each value as JSON.</summary>
    private IEnumerable<string> Elements()
    {
        if (Datatype is Datatype.Bytes) return Texts().Select(text => JsonSerializer.Serialize(Encoding.UTF8.GetString(text)));
        return Enumerable.Range(0, Count).Select(i => Datatype switch
        {
            Datatype.Bool => Bytes[i] != 0 ? "true" : "false",
            Datatype.UInt64 => MemoryMarshal.Cast<byte, ulong>(Bytes)[i].ToString(CultureInfo.InvariantCulture),
            Datatype.FP64 or Datatype.FP32 or Datatype.FP16 or Datatype.BF16 when !double.IsFinite(Number(i)) => JsonSerializer.Serialize(double.IsNaN(Number(i)) ? "NaN" : Number(i) > 0 ? "Infinity" : "-Infinity"),
            Datatype.FP64 or Datatype.FP32 or Datatype.FP16 or Datatype.BF16 => Number(i).ToString("R", CultureInfo.InvariantCulture),
            _ => Whole(i).ToString(CultureInfo.InvariantCulture),
        });
    }

    private long Whole(int index)
    {
        var at = Bytes.AsSpan(index * Datatype.Size());
        return Datatype switch
        {
            Datatype.UInt8 => at[0],
            Datatype.Int8 => (sbyte)at[0],
            Datatype.UInt16 => BinaryPrimitives.ReadUInt16LittleEndian(at),
            Datatype.Int16 => BinaryPrimitives.ReadInt16LittleEndian(at),
            Datatype.UInt32 => BinaryPrimitives.ReadUInt32LittleEndian(at),
            Datatype.Int32 => BinaryPrimitives.ReadInt32LittleEndian(at),
            _ => BinaryPrimitives.ReadInt64LittleEndian(at),
        };
    }

    private IEnumerable<byte[]> Texts()
    {
        for (var at = 0; Datatype is Datatype.Bytes && at < Bytes.Length;)
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(Bytes.AsSpan(at));
            yield return Bytes[(at + 4)..(at + 4 + length)];
            at += 4 + length;
        }
    }

    private static byte[] Element(Datatype type, JsonElement element) => type switch
    {
        Datatype.Bytes => Prefixed(Encoding.UTF8.GetBytes(element.GetString()!)),
        Datatype.Bool => [element.GetBoolean() ? (byte)1 : (byte)0],
        Datatype.UInt64 => BitConverter.GetBytes(element.GetUInt64()),
        Datatype.FP32 => BitConverter.GetBytes((float)Float(element)),
        Datatype.FP64 => BitConverter.GetBytes(Float(element)),
        Datatype.FP16 => BitConverter.GetBytes((Half)Float(element)),
        // What the server writes is the value of a BF16, whose lower half as a float is nothing.
        Datatype.BF16 => BitConverter.GetBytes((ushort)(BitConverter.SingleToInt32Bits((float)Float(element)) >>> 16)),
        _ => BitConverter.GetBytes(element.GetInt64())[..type.Size()],
    };

    private static double Float(JsonElement element) => element.ValueKind is JsonValueKind.String
        ? element.GetString() switch { "NaN" => double.NaN, "Infinity" => double.PositiveInfinity, _ => double.NegativeInfinity }
        : element.GetDouble();

    private static byte[] Prefixed(ReadOnlySpan<byte> text) => [.. BitConverter.GetBytes(text.Length), .. text];

    private static List<ulong> Varints(ref WireReader reader, WireType wire)
    {
        if (wire is WireType.Varint) return [reader.Varint()];
        List<ulong> values = [];
        for (var packed = new WireReader(reader.Bytes()); !packed.IsAtEnd;) values.Add(packed.Varint());
        return values;
    }
}
