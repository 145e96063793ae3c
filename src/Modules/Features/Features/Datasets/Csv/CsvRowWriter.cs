using System.Buffers;
using System.Security.Cryptography;
using System.Text;

namespace Platform.Features.Datasets.Csv;

/// <summary>Writes canonical CSV: UTF-8, comma, line feed, quotes only where they are needed; and hashes what it writes.</summary>
internal sealed class CsvRowWriter(Stream output) : IDisposable
{
    private const int FlushChars = 64 * 1024;

    // All delimiters we detect are quoted, so that reading the canonical CSV finds the comma.
    private static readonly SearchValues<char> NeedQuotes = SearchValues.Create([.. CsvInspector.Delimiters, '"', '\r', '\n']);

    private readonly ArrayBufferWriter<char> text = new(2 * FlushChars);
    private byte[] bytes = [];
    private readonly IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private bool inRow;

    public void Row(ReadOnlySpan<string> values)
    {
        foreach (var value in values) Value(value);
        EndRow();
    }

    /// <summary>Writes the next value of the row; empty means missing.</summary>
    public void Value(ReadOnlySpan<char> value)
    {
        if (inRow) text.Write(",");
        inRow = true;
        if (!value.ContainsAny(NeedQuotes))
        {
            text.Write(value);
            return;
        }
        text.Write("\"");
        while (value.IndexOf('"') is >= 0 and var quote)
        {
            text.Write(value[..(quote + 1)]);
            text.Write("\"");
            value = value[(quote + 1)..];
        }
        text.Write(value);
        text.Write("\"");
    }

    public void EndRow()
    {
        text.Write("\n");
        inRow = false;
        if (text.WrittenCount >= FlushChars) Flush();
    }

    /// <summary>Hands everything to the stream and answers the SHA-256 of it, in lower-case hex.</summary>
    public string Finish()
    {
        Flush();
        output.Flush();
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    public void Dispose() => hash.Dispose();

    private void Flush()
    {
        var most = Encoding.UTF8.GetMaxByteCount(text.WrittenCount);
        if (bytes.Length < most) bytes = new byte[most];
        var encoded = bytes.AsSpan(0, Encoding.UTF8.GetBytes(text.WrittenSpan, bytes));
        hash.AppendData(encoded);
        output.Write(encoded);
        text.ResetWrittenCount();
    }
}
