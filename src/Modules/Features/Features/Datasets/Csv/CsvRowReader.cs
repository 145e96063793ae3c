using System.Buffers;
using Platform.Kernel;

namespace Platform.Features.Datasets.Csv;

/// <summary>Reads delimited text row by row (RFC 4180, quotes inside unquoted values taken as they stand) and goes on after a row it
/// cannot read, which a library reader does not: a file with one stray quote keeps its other rows, and every row knows its physical line.</summary>
internal sealed class CsvRowReader(TextReader text, char delimiter, DatasetLimits limits)
{
    private const int RawChars = 1_000;

    private readonly SearchValues<char> fieldEnds = SearchValues.Create([delimiter, '\r', '\n']);
    private char[] buffer = new char[64 * 1024];
    private Field[] fields = new Field[64];
    private char[] unescaped = [];
    private string? faultyText;

    // Offsets inside a row count from its start, because filling the buffer moves the row.
    private int row;
    private int rowLength;
    private int next;
    private int end;
    private bool drained;
    private bool full;
    private long nextLine = 1;
    private int breaksInside;
    private long consumed;
    private long readAgain;

    private readonly record struct Field(int Start, int Length, bool Quoted, bool Escaped);

    /// <summary>The physical line on which the row begins, from 1.</summary>
    public long Line { get; private set; }

    /// <summary>How many physical lines the row takes.</summary>
    public long Lines => nextLine - Line;

    /// <summary>How many values the row has; only the first <see cref="DatasetLimits.MaxColumns"/> + 1 can be read.</summary>
    public int Count { get; private set; }

    /// <summary>Why the row cannot be read, or null when it can.</summary>
    public string? Fault { get; private set; }

    /// <summary>The row as it stands in the file, cut to a length fit for showing.</summary>
    public string Raw => faultyText ?? Cell.Shorten(Whole, RawChars);

    /// <summary>The row as it stands in the file, with its line breaks inside quotes.</summary>
    public ReadOnlySpan<char> Whole => buffer.AsSpan(row, rowLength);

    /// <summary>A value without its quotes; valid until the next value or row is read.</summary>
    public ReadOnlySpan<char> this[int index]
    {
        get
        {
            var field = fields[index];
            var value = buffer.AsSpan(row + field.Start, field.Length);
            return field.Escaped ? Unescape(value) : value;
        }
    }

    /// <summary>Moves to the next row that is not blank; false at the end.</summary>
    public bool Read()
    {
        while (true)
        {
            row = next;
            Line = nextLine;
            Count = 0;
            Fault = null;
            faultyText = null;
            breaksInside = 0;
            full = false;
            if (At(0) < 0) return false;

            var scanned = Parse();
            if (Fault is null)
            {
                next = row + scanned;
                nextLine += 1 + breaksInside;
                consumed += scanned;
                if (!IsBlank()) return true;
            }
            else
            {
                // A quote that went astray may have swallowed good rows: only its first line is given up, the rest is read again.
                var skipped = SkipLine();
                nextLine++;
                consumed += skipped;
                readAgain += Math.Max(0, scanned - skipped);
                if (readAgain > 8 * consumed + 4L * limits.MaxRowChars) throw new DatasetRefusedException(Refusal.Invalid(
                    "unbalanced-quotes", $"Too many quotes up to line {Line} are opened and not closed.", "file",
                    "Close every quote, and write a quote inside a quoted value twice."));
                return true;
            }
        }
    }

    /// <summary>Finds the row's values. Answers how far it looked: past the line break, or to where the fault was seen.</summary>
    private int Parse()
    {
        var at = 0;
        while (true)
        {
            var open = at;
            while (At(open) == ' ') open++;
            at = At(open) == '"' ? Quoted(open + 1) : Plain(at);
            if (Fault is not null) return at;
            if (At(at) == delimiter)
            {
                at++;
                continue;
            }
            rowLength = at;
            at += BreakLength(at);
            if (full || at > limits.MaxRowChars) Fault = TooLongRow;
            return at;
        }
    }

    private int Plain(int begin)
    {
        var at = begin;
        while (true)
        {
            var hit = buffer.AsSpan(row + at, end - row - at).IndexOfAny(fieldEnds);
            at = hit >= 0 ? at + hit : end - row;
            if (hit >= 0 || at - begin > limits.MaxFieldChars || !Fill()) break;
        }
        if (full) Fault = TooLongRow;
        else if (at - begin > limits.MaxFieldChars) Fault = TooLongValue;
        Add(new Field(begin, at - begin, Quoted: false, Escaped: false));
        return at;
    }

    private int Quoted(int begin)
    {
        var at = begin;
        var escaped = false;
        while (true)
        {
            var hit = buffer.AsSpan(row + at, end - row - at).IndexOf('"');
            at = hit >= 0 ? at + hit + 1 : end - row;
            if (at - begin > limits.MaxFieldChars + 1)
            {
                Fault = $"{TooLongValue}, or its quote is not closed";
                return at;
            }
            if (hit < 0)
            {
                if (Fill()) continue;
                Fault = full ? TooLongRow : "a quote is opened and never closed";
                return at;
            }
            if (At(at) != '"') break;
            escaped = true;
            at++;
        }
        var length = at - 1 - begin;
        Add(new Field(begin, length, Quoted: true, escaped));
        breaksInside += CountBreaks(buffer.AsSpan(row + begin, length));
        while (At(at) == ' ') at++;
        var follows = At(at);
        if (full) Fault = TooLongRow;
        else if (follows >= 0 && follows != delimiter && follows is not ('\r' or '\n'))
            Fault = "there is text after a closing quote; a quote inside a quoted value is written twice";
        return at;
    }

    private string TooLongValue => $"a value is longer than {limits.MaxFieldChars} characters";

    private string TooLongRow => $"the row is longer than {limits.MaxRowChars} characters";

    private void Add(Field field)
    {
        if (Count == fields.Length && Count <= limits.MaxColumns) Array.Resize(ref fields, Count * 2);
        if (Count < fields.Length) fields[Count] = field;
        Count++;
    }

    private bool IsBlank() => Count == 1 && !fields[0].Quoted && Cell.Trim(this[0]).IsEmpty;

    /// <summary>Gives up the row's first physical line and sets the next row behind it. Answers how many characters that was.</summary>
    private long SkipLine()
    {
        long skipped = 0;
        while (true)
        {
            var seen = buffer.AsSpan(row, end - row);
            var hit = seen.IndexOfAny('\r', '\n');
            faultyText ??= Cell.Shorten(hit >= 0 ? seen[..hit] : seen, RawChars);
            var step = hit >= 0 ? hit : seen.Length;
            row += step;
            skipped += step;
            full = false;
            if (hit < 0 && Fill()) continue;
            var breaks = BreakLength(0);
            next = row + breaks;
            return skipped + breaks;
        }
    }

    private int BreakLength(int at) => At(at) switch
    {
        '\n' => 1,
        '\r' => At(at + 1) == '\n' ? 2 : 1,
        _ => 0,
    };

    /// <summary>The character at an offset of the row; -1 at the end of the text, and where the row is over its limit (then <see cref="full"/>).</summary>
    private int At(int offset)
    {
        while (row + offset >= end)
        {
            if (!Fill()) return -1;
        }
        return buffer[row + offset];
    }

    private bool Fill()
    {
        if (drained) return false;
        if (end - row >= limits.MaxRowChars)
        {
            full = true;
            return false;
        }
        if (end == buffer.Length && row > 0)
        {
            buffer.AsSpan(row, end - row).CopyTo(buffer);
            end -= row;
            row = 0;
        }
        if (end == buffer.Length) Array.Resize(ref buffer, buffer.Length * 2);
        var got = text.Read(buffer.AsSpan(end));
        drained = got == 0;
        end += got;
        return !drained;
    }

    private ReadOnlySpan<char> Unescape(ReadOnlySpan<char> value)
    {
        if (unescaped.Length < value.Length) unescaped = new char[value.Length];
        var length = 0;
        for (var i = 0; i < value.Length; i++)
        {
            unescaped[length++] = value[i];
            if (value[i] == '"') i++;
        }
        return unescaped.AsSpan(0, length);
    }

    private static int CountBreaks(ReadOnlySpan<char> value) => value.Count('\n') + value.Count('\r') - value.Count("\r\n");
}
