using System.Globalization;
using Platform.Features.Contracts;

namespace Platform.Features.Datasets.Csv;

/// <summary>From a canonical field to a value: double, bool, string (a date stays ISO 8601), null for missing.</summary>
internal static class CellValue
{
    public static object? Of(DatasetColumnType type, ReadOnlySpan<char> field) => field.IsEmpty ? null : type switch
    {
        DatasetColumnType.Integer or DatasetColumnType.Number => double.Parse(field, NumberStyles.Float, CultureInfo.InvariantCulture),
        DatasetColumnType.Boolean => field is "true",
        DatasetColumnType.Date or DatasetColumnType.Text => field.ToString(),
        _ => throw new ArgumentOutOfRangeException(nameof(type)),
    };
}
