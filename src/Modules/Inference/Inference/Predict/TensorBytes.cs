using System.Buffers;
using System.Buffers.Binary;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Predict;

/// <summary>Tensor elements as bytes: little-endian, row-major, nothing between them; a text is its length in four bytes and then itself.</summary>
internal static class TensorBytes
{
    private const int Prefix = sizeof(uint);

    /// <summary>The bytes an element takes at least.</summary>
    public static int Least(Datatype type) => type is Datatype.Bytes ? Prefix : type.Size();

    public static int Length(Tensor tensor)
    {
        if (!tensor.IsText) return tensor.Raw.Length;
        var length = 0;
        for (var i = 0; i < tensor.Count; i++) length = checked(length + Prefix + tensor.Text(i).Length);
        return length;
    }

    /// <summary>Fills a tensor whose shape is set; the bytes must be exactly those the shape asks for.</summary>
    public static Refusal? Read(ReadOnlySpan<byte> bytes, Tensor tensor)
    {
        if (tensor.IsText) return ReadTexts(bytes, tensor);
        var raw = tensor.Raw;
        if (bytes.Length != raw.Length)
            return WrongLength(tensor, $"{raw.Length} bytes of {tensor.Layout.Datatype.Name()}", $"there are {bytes.Length}");
        // The runtime takes a byte for a boolean as it is, and any other value in it is undefined behaviour.
        if (tensor.Layout.Datatype is Datatype.Bool && bytes.IndexOfAnyExceptInRange((byte)0, (byte)1) is >= 0 and var at)
            return Refusal.Invalid("wrong-element", $"Element {at} of input '{tensor.Layout.Name}' is the byte {bytes[at]}, which is no BOOL.", tensor.Layout.Name, "Send 0 or 1 for each element.");
        bytes.CopyTo(raw);
        return null;
    }

    public static void Write(IBufferWriter<byte> to, Tensor tensor)
    {
        if (!tensor.IsText)
        {
            to.Write(tensor.Raw);
            return;
        }
        for (var i = 0; i < tensor.Count; i++)
        {
            var text = tensor.Text(i);
            BinaryPrimitives.WriteUInt32LittleEndian(to.GetSpan(Prefix), (uint)text.Length);
            to.Advance(Prefix);
            to.Write(text);
        }
    }

    private static Refusal? ReadTexts(ReadOnlySpan<byte> bytes, Tensor tensor)
    {
        var index = 0;
        for (; bytes.Length >= Prefix && index < tensor.Count; index++)
        {
            var length = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
            bytes = bytes[Prefix..];
            if (length > bytes.Length)
                return Refusal.Invalid("wrong-element", $"Element {index} of input '{tensor.Layout.Name}' says that it is {length:N0} bytes long; {bytes.Length:N0} are left.", tensor.Layout.Name, "Write each text as its length in 4 bytes, little-endian, and then its bytes.");
            tensor.SetText(index, bytes[..(int)length]);
            bytes = bytes[(int)length..];
        }
        return index < tensor.Count ? WrongLength(tensor, $"{tensor.Count} texts", $"there are {index}")
            : bytes.Length > 0 ? WrongLength(tensor, $"{tensor.Count} texts", $"{bytes.Length:N0} bytes follow the last") : null;
    }

    private static Refusal WrongLength(Tensor tensor, string promised, string got) =>
        Refusal.Invalid("wrong-count", $"The shape of input '{tensor.Layout.Name}' promises {promised}; {got}.", tensor.Layout.Name, "Make the shape and the bytes agree.");
}
