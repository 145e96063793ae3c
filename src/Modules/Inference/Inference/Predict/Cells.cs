using System.Buffers.Text;
using System.Text;
using Platform.Inference.Predict.Runtimes;
using Platform.Registry.Contracts;

namespace Platform.Inference.Predict;

/// <summary>How a value of a named column becomes a tensor's element (the meaning of each <see cref="ColumnKind"/> stands there).</summary>
internal static class Cells
{
    private static readonly int Epoch = new DateOnly(1970, 1, 1).DayNumber;

    /// <summary>Stores a number, unless the tensor's type cannot hold it: a fraction or an overflow in a whole number, an overflow in a float.</summary>
    public static bool TryNumber(Tensor tensor, int index, double value)
    {
        switch (tensor.Layout.Datatype)
        {
            case Datatype.FP32: return Float((float)value);
            case Datatype.FP64: tensor.Set(index, value); return double.IsFinite(value);
            case Datatype.FP16: tensor.Set(index, (Half)value); return Half.IsFinite((Half)value);
            case Datatype.BF16: tensor.Set(index, BFloat16.Bits((float)value)); return float.IsFinite(BFloat16.Value(BFloat16.Bits((float)value)));
            case Datatype.Int64: return Whole(long.MinValue, 9223372036854774784, (long)value);
            case Datatype.UInt64: return Whole(0, 18446744073709549568, (ulong)value);
            case Datatype.Int32: return Whole(int.MinValue, int.MaxValue, (int)value);
            case Datatype.UInt32: return Whole(0, uint.MaxValue, (uint)value);
            case Datatype.Int16: return Whole(short.MinValue, short.MaxValue, (short)value);
            case Datatype.UInt16: return Whole(0, ushort.MaxValue, (ushort)value);
            case Datatype.Int8: return Whole(sbyte.MinValue, sbyte.MaxValue, (sbyte)value);
            case Datatype.UInt8: return Whole(0, byte.MaxValue, (byte)value);
            case Datatype.Bool: return Whole(0, 1, (byte)value);
            default: return false;
        }

        bool Float(float narrow)
        {
            tensor.Set(index, narrow);
            return float.IsFinite(narrow);
        }

        bool Whole<T>(double least, double most, T narrow) where T : unmanaged
        {
            if (!(value >= least && value <= most) || value != Math.Floor(value)) return false;
            tensor.Set(index, narrow);
            return true;
        }
    }

    /// <summary>Stores "missing" as the model has learnt it; only for columns that are not required.</summary>
    public static void Missing(Tensor tensor, int index)
    {
        switch (tensor.Layout.Datatype)
        {
            case Datatype.Bytes: tensor.SetText(index, []); break;
            case Datatype.FP32: tensor.Set(index, float.NaN); break;
            case Datatype.FP64: tensor.Set(index, double.NaN); break;
            case Datatype.FP16: tensor.Set(index, Half.NaN); break;
            case Datatype.BF16: tensor.Set(index, BFloat16.Bits(float.NaN)); break;
            default: throw new InvalidOperationException($"{tensor.Layout.Datatype} has no value for missing.");
        }
    }

    /// <summary>Days since 1970-01-01 in UTC. Takes <c>2014-10-13</c>, and a date with a time, whose zone is UTC when it names none.</summary>
    public static bool TryDays(ReadOnlySpan<byte> text, out int days)
    {
        days = 0;
        if (text.Length < 10 || text[4] != '-' || text[7] != '-') return false;
        if (text.Length == 10)
        {
            if (!Digits(text[..4], out var year) || !Digits(text[5..7], out var month) || !Digits(text[8..], out var day)) return false;
            if (year is < 1 or > 9999 || month is < 1 or > 12 || day < 1 || day > DateTime.DaysInMonth(year, month)) return false;
            days = new DateOnly(year, month, day).DayNumber - Epoch;
            return true;
        }
        if (text.Length is < 16 or > 40 || text[10] is not ((byte)'T' or (byte)' ')) return false;
        Span<char> characters = stackalloc char[text.Length];
        if (Encoding.UTF8.GetChars(text, characters) != text.Length) return false;
        if (!DateTime.TryParse(characters, null, System.Globalization.DateTimeStyles.AssumeUniversal | System.Globalization.DateTimeStyles.AdjustToUniversal, out var moment)) return false;
        days = DateOnly.FromDateTime(moment).DayNumber - Epoch;
        return true;
    }

    /// <summary>Stores a value of the online store; false when its type does not fit the column.</summary>
    public static bool TryFeature(Tensor tensor, int index, ColumnKind kind, object value)
    {
        switch (kind, value)
        {
            case (ColumnKind.Category, string text): tensor.SetText(index, Encoding.UTF8.GetBytes(text)); return true;
            case (ColumnKind.Category, bool flag): tensor.SetText(index, flag ? "true"u8 : "false"u8); return true;
            case (ColumnKind.Category, double number):
                Span<byte> digits = stackalloc byte[32];
                Utf8Formatter.TryFormat(number, digits, out var written);
                tensor.SetText(index, digits[..written]);
                return true;
            case (ColumnKind.Category, DateOnly date): tensor.SetText(index, Encoding.UTF8.GetBytes(date.ToString("yyyy-MM-dd"))); return true;
            case (ColumnKind.Number, double number): return TryNumber(tensor, index, number);
            case (ColumnKind.Boolean, bool flag): return TryNumber(tensor, index, flag ? 1 : 0);
            case (ColumnKind.Boolean, 0d or 1d): return TryNumber(tensor, index, (double)value);
            case (ColumnKind.Date, DateOnly date): return TryNumber(tensor, index, date.DayNumber - Epoch);
            case (ColumnKind.Date, string text): return TryDays(Encoding.UTF8.GetBytes(text), out var days) && TryNumber(tensor, index, days);
            default: return false;
        }
    }

    private static bool Digits(ReadOnlySpan<byte> text, out int number)
    {
        number = 0;
        foreach (var digit in text)
        {
            if (digit is < (byte)'0' or > (byte)'9') return false;
            number = (number * 10) + digit - '0';
        }
        return true;
    }
}

/// <summary>The upper half of a float, which .NET has no type for.</summary>
internal static class BFloat16
{
    /// <summary>Rounds to nearest, ties to even; NaN stays NaN.</summary>
    public static ushort Bits(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)0x7FC0 : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    public static float Value(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);
}
