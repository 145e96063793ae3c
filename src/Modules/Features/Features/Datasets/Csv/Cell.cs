using System.Globalization;

namespace Platform.Features.Datasets.Csv;

/// <summary>The types a value can be read as.</summary>
[Flags]
internal enum Fits { Text = 0, Boolean = 1, Date = 2, Number = 4, Infinite = 8 }

/// <summary>One value and what it can be read as. It is judged by its value, not by how it is written: 5 and 5.0 are the same integer.</summary>
internal readonly record struct Cell(Fits Fits, double Number = 0, DateTime Date = default)
{
    /// <summary>The longest canonical form of anything but text.</summary>
    public const int MaxCanonicalChars = 32;

    // Below it every integer has at most 15 digits, which a double and every reader of our CSV keeps exactly.
    private const double IntegerLimit = 1e15;

    private const string CanonicalDay = "yyyy-MM-dd";
    private const string CanonicalTime = "yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'";

    private static readonly string[] IsoDates =
    [
        CanonicalDay,
        "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK", "yyyy-MM-dd HH:mm:ss.FFFFFFFK",
        "yyyy-MM-dd'T'HH:mmK", "yyyy-MM-dd HH:mmK",
    ];
    private static readonly string[] CompactTimes = ["yyyyMMdd'T'HHmmssK"];
    private static readonly string[] CompactDays = ["yyyyMMdd"];
    private static readonly string[] MissingMarkers = ["NA", "N/A", "null", "NaN"];

    public bool IsInteger => Math.Abs(Number) < IntegerLimit && Math.Truncate(Number) == Number;

    /// <summary>A value without the spaces around it. A byte order mark counts as a space: concatenated files carry one in the middle.</summary>
    public static ReadOnlySpan<char> Trim(ReadOnlySpan<char> value)
    {
        while (value.Length > 0 && IsSpace(value[0])) value = value[1..];
        while (value.Length > 0 && IsSpace(value[^1])) value = value[..^1];
        return value;
    }

    /// <summary>A text fit for showing and storing: cut to a length, with no half of a character at its end and no NUL in it.</summary>
    public static string Shorten(ReadOnlySpan<char> text, int most)
    {
        if (text.Length <= most) return text.ToString().Replace('\0', '\u2400');
        var kept = text[..(char.IsHighSurrogate(text[most - 1]) ? most - 1 : most)];
        return $"{kept.ToString().Replace('\0', '\u2400')}…";
    }

    /// <summary>Whether a trimmed value says that there is none.</summary>
    public static bool IsMissing(ReadOnlySpan<char> value)
    {
        if (value.IsEmpty) return true;
        if (value.Length > 4) return false;
        foreach (var marker in MissingMarkers)
        {
            if (value.Equals(marker, StringComparison.OrdinalIgnoreCase)) return true;
        }
        return false;
    }

    /// <summary>Whether a column's name says that 20141013 is a day in it and not a number.</summary>
    public static bool IsNamedLikeADate(string column) =>
        column.Contains("date", StringComparison.OrdinalIgnoreCase)
        || column.Contains("day", StringComparison.OrdinalIgnoreCase)
        || column.EndsWith("_on", StringComparison.OrdinalIgnoreCase)
        || column.EndsWith("_at", StringComparison.OrdinalIgnoreCase);

    /// <summary>What a trimmed, present value can be read as.</summary>
    public static Cell Read(ReadOnlySpan<char> value, bool namedLikeADate)
    {
        if (value[0] is 't' or 'T' or 'f' or 'F')
            return bool.TryParse(value, out var truth) ? new Cell(Fits.Boolean, truth ? 1 : 0) : default;
        if (IsInfinite(value)) return new Cell(Fits.Infinite);

        var cell = ReadNumber(value);
        return ReadDate(value, namedLikeADate) is { } date ? cell with { Fits = cell.Fits | Fits.Date, Date = date } : cell;
    }

    /// <summary>Writes a number so that reading it again gives the same bits: integers as digits, others as the shortest round trip.</summary>
    public int WriteNumber(Span<char> into)
    {
        int written;
        if (IsInteger) ((long)Number).TryFormat(into, out written, default, CultureInfo.InvariantCulture);
        else Number.TryFormat(into, out written, "R", CultureInfo.InvariantCulture);
        return written;
    }

    /// <summary>Writes a date as ISO 8601: the day alone at midnight, else with the time in UTC.</summary>
    public int WriteDate(Span<char> into)
    {
        Date.TryFormat(into, out var written, Date.TimeOfDay == TimeSpan.Zero ? CanonicalDay : CanonicalTime, CultureInfo.InvariantCulture);
        return written;
    }

    private static Cell ReadNumber(ReadOnlySpan<char> value)
    {
        var digits = value[0] is '-' or '+' ? value[1..] : value;
        if (digits.IsEmpty || !(char.IsAsciiDigit(digits[0]) || digits[0] == '.') || IsCode(digits)) return default;
        const NumberStyles Style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        if (!double.TryParse(value, Style, CultureInfo.InvariantCulture, out var number)) return default;
        return double.IsFinite(number) ? new Cell(Fits.Number, number) : new Cell(Fits.Infinite);
    }

    /// <summary>Digits that are an identifier: a number would lose the leading zero, or digits beyond the fifteenth.</summary>
    public static bool IsCode(ReadOnlySpan<char> digits) =>
        (digits.Length > 1 && digits[0] == '0' && char.IsAsciiDigit(digits[1]))
        || (digits.Length > 15 && !digits.ContainsAnyExceptInRange('0', '9'));

    private static DateTime? ReadDate(ReadOnlySpan<char> value, bool namedLikeADate)
    {
        if (value.Length < 8 || !char.IsAsciiDigit(value[0])) return null;
        var formats = value[4] == '-' ? IsoDates
            : value.Length > 8 && value[8] == 'T' ? CompactTimes
            : value.Length == 8 && namedLikeADate ? CompactDays
            : null;
        // A time without an offset is taken as UTC, so that the same file means the same instant on every machine.
        const DateTimeStyles Style = DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal;
        return formats is not null && DateTime.TryParseExact(value, formats, CultureInfo.InvariantCulture, Style, out var date) ? date : null;
    }

    private static bool IsInfinite(ReadOnlySpan<char> value)
    {
        var size = value[0] is '-' or '+' ? value[1..] : value;
        return size is "∞" || size.Equals("inf", StringComparison.OrdinalIgnoreCase) || size.Equals("infinity", StringComparison.OrdinalIgnoreCase);
    }

    private static bool IsSpace(char c) => char.IsWhiteSpace(c) || c == '\uFEFF';
}
