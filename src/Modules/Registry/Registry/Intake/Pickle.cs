using System.Buffers.Binary;
using System.IO.Compression;

namespace Platform.Registry.Intake;

/// <summary>Tells Python pickles by their content, and by names that mean one. Reading a pickle runs what is in it, so none is ever read here.</summary>
internal static class Pickle
{
    /// <summary>How much of a file's beginning is looked at.</summary>
    public const int HeadBytes = 4 << 10;

    private static readonly string[] Endings = [".pkl", ".pickle", ".joblib", ".cloudpickle", ".dill", ".pt", ".pth", ".ckpt"];

    public static bool IsNamed(string path) => Endings.Any(ending => path.EndsWith(ending, StringComparison.OrdinalIgnoreCase));

    /// <summary>Whether a file that begins so is a pickle, one that is compressed as joblib does, or an array of Python objects.</summary>
    public static bool Begins(ReadOnlySpan<byte> head) => IsPlain(head) || IsObjectArray(head) || (Unpacked(head) is { } unpacked && (IsPlain(unpacked) || IsObjectArray(unpacked)));

    /// <summary>From protocol 2 on a pickle begins with its protocol's number; the older ones are texts, told by reading their operations without doing them.</summary>
    private static bool IsPlain(ReadOnlySpan<byte> head)
    {
        if (head is [0x93, ..] && head[1..].StartsWith("NUMPY"u8)) return false;
        var walk = Walk(head);
        // Without the number, only what names something of a module is told from bytes that fall so by chance; and without such a name a pickle does nothing.
        return walk.Sound && (head is [0x80, >= 2 and <= 5, ..] ? walk.Stopped || walk.Operations >= 4 : walk.Names || (walk is { Stopped: true, Stacked: true, Operations: >= 6 }));
    }

    /// <summary>numpy keeps arrays of objects as pickles.</summary>
    private static bool IsObjectArray(ReadOnlySpan<byte> head) => head is [0x93, ..] && head[1..].StartsWith("NUMPY"u8) && head[..Math.Min(head.Length, 256)].IndexOf("|O"u8) > 0;

    private static byte[]? Unpacked(ReadOnlySpan<byte> head)
    {
        var isZlib = head is [0x78, 0x01 or 0x5e or 0x9c or 0xda, ..];
        if (!isZlib && head is not [0x1f, 0x8b, ..]) return null;
        using var packed = new MemoryStream(head.ToArray(), writable: false);
        using Stream unpacking = isZlib ? new ZLibStream(packed, CompressionMode.Decompress) : new GZipStream(packed, CompressionMode.Decompress);
        return Start(unpacking);
    }

    /// <summary>As much as can be had of the beginning; null where there is nothing.</summary>
    public static byte[]? Start(Stream unpacking)
    {
        var unpacked = new byte[HeadBytes];
        var read = 0;
        try
        {
            for (int more; read < unpacked.Length && (more = unpacking.Read(unpacked, read, unpacked.Length - read)) > 0;) read += more;
        }
        catch (InvalidDataException)
        {
            // Cut off, or no such thing: what came out is looked at all the same.
        }

        return read == 0 ? null : unpacked[..read];
    }

    /// <summary>Steps over operations until their end, the end of what is there, or something that is none.</summary>
    private static (bool Sound, bool Stopped, bool Names, bool Stacked, int Operations) Walk(ReadOnlySpan<byte> head)
    {
        var (at, operations, named, stacked) = (0, 0, false, false);
        while (at < head.Length)
        {
            var operation = head[at++];
            operations++;
            if (operation is (byte)'.') return (true, true, named, stacked, operations);
            // Naming something of a module, in the operation or on the stack.
            var names = operation is (byte)'c' or (byte)'i';
            stacked |= operation is 0x93;
            switch (operation)
            {
                case (byte)'(' or (byte)'0' or (byte)'1' or (byte)'2' or (byte)'N' or (byte)'R' or (byte)'Q' or (byte)'}' or (byte)']' or (byte)'b' or (byte)'a' or (byte)'d' or (byte)'e'
                    or (byte)'l' or (byte)'o' or (byte)'s' or (byte)'t' or (byte)'u' or (byte)')' or 0x81 or (>= 0x85 and <= 0x89) or (>= 0x8f and <= 0x94) or 0x97 or 0x98:
                    continue;
                case (byte)'K' or (byte)'h' or (byte)'q' or 0x80 or 0x82: at += 1; continue;
                case (byte)'M' or 0x83: at += 2; continue;
                case (byte)'J' or (byte)'j' or (byte)'r' or 0x84: at += 4; continue;
                case (byte)'G' or 0x95: at += 8; continue;
                case (byte)'U' or (byte)'C' or 0x8c or 0x8a:
                    if (at >= head.Length) return (true, false, named, stacked, operations);
                    at += 1 + head[at];
                    continue;
                case (byte)'T' or (byte)'X' or (byte)'B' or 0x8b:
                    if (at + 4 > head.Length) return (true, false, named, stacked, operations);
                    at = (int)Math.Min(head.Length, at + 4L + BinaryPrimitives.ReadUInt32LittleEndian(head[at..]));
                    continue;
                case 0x8d or 0x8e or 0x96: return (true, false, named, stacked, operations);
                case (byte)'F' or (byte)'I' or (byte)'L' or (byte)'S' or (byte)'V' or (byte)'P' or (byte)'g' or (byte)'p' or (byte)'c' or (byte)'i':
                    for (var line = names ? 2 : 1; line > 0; line--)
                    {
                        var length = head[at..].IndexOf((byte)'\n');
                        if (length < 0) return (!names, false, named, stacked, operations);
                        if (names && !IsName(head.Slice(at, length))) return (false, false, named, stacked, operations);
                        at += length + 1;
                    }

                    named |= names;
                    continue;
                default: return (false, false, named, stacked, operations);
            }
        }

        return (true, false, named, stacked, operations);
    }

    private static bool IsName(ReadOnlySpan<byte> name)
    {
        foreach (var letter in name)
        {
            if (!char.IsAsciiLetterOrDigit((char)letter) && letter is not ((byte)'_' or (byte)'.')) return false;
        }

        return name.Length > 0;
    }
}
