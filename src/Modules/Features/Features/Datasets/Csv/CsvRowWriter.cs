using System.Buffers;
using System.Security.Cryptography;
using System.Text;

namespace Platform.Features.Datasets.Csv;

/// <summary>Writes canonical CSV: UTF-8, comma, line feed, quotes only where they are needed; and hashes what it writes.</summary>
internal sealed class CsvRowWriter(Stream output) : IDisposable
{
    private const int FlushBytes = 64 * 1024;

    // All delimiters we detect are quoted, so that reading the canonical CSV finds the comma.
    private static readonly SearchValues<char> NeedQuotes = SearchValues.Create([.. CsvInspector.Delimiters, '"', '\r', '\n']);

    private readonly ArrayBufferWriter<byte> bytes = new(2 * FlushBytes);
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
        if (inRow) Raw(",");
        inRow = true;
        if (!value.ContainsAny(NeedQuotes))
        {
            Raw(value);
            return;
        }
        Raw("\"");
        while (value.IndexOf('"') is >= 0 and var quote)
        {
            Raw(value[..(quote + 1)]);
            Raw("\"");
            value = value[(quote + 1)..];
        }
        Raw(value);
        Raw("\"");
    }

    public void EndRow()
    {
        Raw("\n");
        inRow = false;
        if (bytes.WrittenCount >= FlushBytes) Flush();
    }

    /// <summary>Hands everything to the stream and answers the SHA-256 of it, in lower-case hex.</summary>
    public string Finish()
    {
        Flush();
        output.Flush();
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    public void Dispose() => hash.Dispose();

    private void Raw(ReadOnlySpan<char> chars) => Encoding.UTF8.GetBytes(chars, bytes);

    private void Flush()
    {
        hash.AppendData(bytes.WrittenSpan);
        output.Write(bytes.WrittenSpan);
        bytes.ResetWrittenCount();
    }
}
