namespace Platform.Inference.Predict.Runtimes;

/// <summary>The element types of the Open Inference Protocol; every runtime and every dialect speaks in these.</summary>
internal enum Datatype : byte { Bool, UInt8, UInt16, UInt32, UInt64, Int8, Int16, Int32, Int64, FP16, BF16, FP32, FP64, Bytes }

internal static class Datatypes
{
    private static readonly string[] Names =
        ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "BF16", "FP32", "FP64", "BYTES"];

    /// <summary>The protocol's spelling, such as <c>FP32</c>.</summary>
    public static string Name(this Datatype type) => Names[(int)type];

    /// <summary>Bytes an element takes; 0 for <see cref="Datatype.Bytes"/>, whose elements have lengths of their own.</summary>
    public static int Size(this Datatype type) => type switch
    {
        Datatype.Bool or Datatype.UInt8 or Datatype.Int8 => 1,
        Datatype.UInt16 or Datatype.Int16 or Datatype.FP16 or Datatype.BF16 => 2,
        Datatype.UInt32 or Datatype.Int32 or Datatype.FP32 => 4,
        Datatype.UInt64 or Datatype.Int64 or Datatype.FP64 => 8,
        _ => 0,
    };

    public static bool IsFloat(this Datatype type) => type is Datatype.FP16 or Datatype.BF16 or Datatype.FP32 or Datatype.FP64;

    /// <summary>Null when the protocol has no such datatype.</summary>
    public static Datatype? Parse(string name) => Array.IndexOf(Names, name) is >= 0 and var index ? (Datatype)index : null;
}
