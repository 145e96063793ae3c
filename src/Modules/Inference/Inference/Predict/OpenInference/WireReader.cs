using System.Runtime.InteropServices;

namespace Platform.Inference.Predict.OpenInference;

/// <summary>Reads a protobuf message's fields where they lie, making nothing of them (https://protobuf.dev/programming-guides/encoding/).
/// So a message of many tiny parts costs no more memory than its bytes. Throws <see cref="InvalidDataException"/> for what is no message.</summary>
internal ref struct WireReader(ReadOnlySpan<byte> message)
{
    private ReadOnlySpan<byte> rest = message;

    public readonly bool IsAtEnd => rest.IsEmpty;

    /// <summary>The next field; false at the end.</summary>
    public bool Next(out int field, out WireType type)
    {
        (field, type) = (0, WireType.Varint);
        if (rest.IsEmpty) return false;
        var tag = Varint();
        (field, type) = ((int)(tag >> 3), (WireType)(tag & 7));
        return tag is > 7 and <= uint.MaxValue && type is WireType.Varint or WireType.Fixed64 or WireType.Bytes or WireType.Fixed32 ? true : throw Malformed();
    }

    public ulong Varint()
    {
        ulong value = 0;
        for (var i = 0; i < rest.Length && i < 10; i++)
        {
            value |= (ulong)(rest[i] & 127) << (7 * i);
            if (rest[i] > 127) continue;
            rest = rest[(i + 1)..];
            return value;
        }
        throw Malformed();
    }

    public ReadOnlySpan<byte> Bytes()
    {
        var length = Varint();
        return Take(length <= int.MaxValue ? (int)length : throw Malformed());
    }

    public T Fixed<T>() where T : unmanaged => MemoryMarshal.Read<T>(Take(Marshal.SizeOf<T>()));

    public void Skip(WireType type)
    {
        if (type is WireType.Varint) Varint();
        else if (type is WireType.Bytes) Bytes();
        else Take(type is WireType.Fixed32 ? 4 : 8);
    }

    /// <summary>The field's bytes, when it is of the type that has some.</summary>
    public ReadOnlySpan<byte> Bytes(WireType type) => type is WireType.Bytes ? Bytes() : throw Malformed();

    private ReadOnlySpan<byte> Take(int length)
    {
        if (length > rest.Length) throw Malformed();
        var taken = rest[..length];
        rest = rest[length..];
        return taken;
    }

    private static InvalidDataException Malformed() => new("The message is malformed.");
}

internal enum WireType { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 }
