using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using Platform.Registry.Contracts;

namespace Platform.Registry.Intake;

/// <summary>Looks through a file, as a stream and without unpacking it, for what must not be taken for a model: Python pickles, also inside zip archives, and
/// archives whose entries point outside or unpack to far more than they are.</summary>
internal static class FileScan
{
    public const string PickleCode = "pickle", UnsafeArchiveCode = "unsafe-archive";

    /// <summary>An entry's header with its name, its extra field and the start of its content.</summary>
    private const int Overlap = 16 << 10;

    private const int PieceBytes = 256 << 10;

    /// <summary>No honest model packs tighter than this.</summary>
    private const long MostTimes = 200, Always = 16 << 20, MostUnpacked = 2L << 30;

    /// <summary>The first thing found; null when there is nothing.</summary>
    public static async Task<Finding?> FindAsync(Stream content, string path, CancellationToken ct)
    {
        var buffer = new byte[PieceBytes];
        var held = await content.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, ct);
        if (OfHead(buffer.AsSpan(0, held), path) is { } found) return found;
        if (!ArchiveInspection.IsArchive(buffer.AsSpan(0, held))) return null;

        var sizes = new Sizes();
        while (true)
        {
            var isLast = held < buffer.Length;
            if (InArchive(buffer.AsSpan(0, held), isLast ? held : held - Overlap, path, sizes) is { } inside) return inside;
            if (isLast) return null;
            // What could be the beginning of an entry at the end of this piece is looked at with the next.
            buffer.AsSpan(held - Overlap, Overlap).CopyTo(buffer);
            held = Overlap + await content.ReadAtLeastAsync(buffer.AsMemory(Overlap), buffer.Length - Overlap, throwOnEndOfStream: false, ct);
        }
    }

    /// <summary>What a file's beginning and name say already.</summary>
    public static Finding? OfHead(ReadOnlySpan<byte> head, string path)
    {
        if (Pickle.Begins(head[..Math.Min(head.Length, Pickle.HeadBytes)]) || Pickle.IsNamed(path)) return IsPickle(path, "is a Python pickle");
        return ArchiveInspection.IsArchive(head) ? InArchive(head, head.Length, path, new Sizes()) : null;
    }

    private static Finding? InArchive(ReadOnlySpan<byte> piece, int upTo, string path, Sizes sizes)
    {
        for (var at = 0; piece[at..].IndexOf("PK"u8) is >= 0 and var step; at++)
        {
            at += step;
            if (at >= upTo) return null;
            var rest = piece[at..];
            var found = rest.StartsWith("PK\x03\x04"u8) ? Entry(rest, path) : rest.StartsWith("PK\x01\x02"u8) ? Listed(rest, path, sizes) : null;
            if (found is not null) return found;
        }

        return null;
    }

    /// <summary>An entry as it lies in the archive, whether the list at the end names it or not.</summary>
    private static Finding? Entry(ReadOnlySpan<byte> entry, string path)
    {
        if (entry.Length < 30 || !IsHeader(entry, 4, 8)) return null;
        var (method, nameBytes, extra) = (Short(entry, 8), Short(entry, 26), Short(entry, 28));
        if (entry.Length < 30 + nameBytes) return null;
        var name = Encoding.UTF8.GetString(entry.Slice(30, nameBytes));
        if (Points(name) is { } outside) return outside;
        var start = Math.Min(entry.Length, 30 + nameBytes + extra);
        var content = entry.Slice(start, Math.Min(entry.Length - start, Pickle.HeadBytes));
        if (Pickle.IsNamed(name)) return IsPickle(path, $"holds the Python pickle '{Shown(name)}'{(name.EndsWith("data.pkl", StringComparison.Ordinal) ? ", as PyTorch's files do" : "")}");
        if (method == 8)
        {
            using var packed = new MemoryStream(content.ToArray(), writable: false);
            using var unpacking = new DeflateStream(packed, CompressionMode.Decompress);
            content = Pickle.Start(unpacking);
        }

        return Pickle.Begins(content) ? IsPickle(path, $"holds the Python pickle '{Shown(name)}'") : null;
    }

    private static Finding? Listed(ReadOnlySpan<byte> entry, string path, Sizes sizes)
    {
        if (entry.Length < 46 || !IsHeader(entry, 6, 10) || entry.Length < 46 + Short(entry, 28)) return null;
        var name = Encoding.UTF8.GetString(entry.Slice(46, Short(entry, 28)));
        // Made on Unix, with the file's kind in the upper half of its attributes.
        if (entry[5] == 3 && (Short(entry, 40) & 0xf000) == 0xa000) return new(UnsafeArchiveCode, $"'{path}' holds '{Shown(name)}', a link to another file.", "Pack the file itself.");
        sizes.Packed += BinaryPrimitives.ReadUInt32LittleEndian(entry[20..]);
        sizes.Unpacked += BinaryPrimitives.ReadUInt32LittleEndian(entry[24..]);
        return Points(name) ?? (sizes.Unpacked > Math.Min(MostUnpacked, Math.Max(Always, sizes.Packed * MostTimes))
            ? new(UnsafeArchiveCode, $"'{path}' unpacks to {sizes.Unpacked:N0} bytes or more, far more than a model of its size would.", "Send the model as its library saved it.") : null);
    }

    /// <summary>Whether it has a version and a method that there are: packed content may hold the letters by chance.</summary>
    private static bool IsHeader(ReadOnlySpan<byte> entry, int version, int method) => Short(entry, version) <= 63 && Short(entry, method) is 0 or 8 or 9 or 12 or 14 or 93;

    private static Finding? Points(string name) => Onnx.OnnxContent.Reach(name) is { Length: > 0 } reach
        ? new(UnsafeArchiveCode, $"An entry of the archive is named '{Shown(name)}'{reach.TrimEnd(',')}.", "Pack files under their plain names.") : null;

    private static Finding IsPickle(string path, string what) => new(
        PickleCode, $"'{Shown(path)}' {what}. Reading a pickle runs whatever is in it, so none is ever opened here.", "Export the model to ONNX (skl2onnx, torch.onnx.export, onnxmltools) and send that.");

    private static string Shown(string text) => Onnx.OnnxInspector.Shown(text);

    private static int Short(ReadOnlySpan<byte> at, int offset) => BinaryPrimitives.ReadUInt16LittleEndian(at[offset..]);

    private sealed class Sizes
    {
        public long Packed { get; set; }

        public long Unpacked { get; set; }
    }
}
