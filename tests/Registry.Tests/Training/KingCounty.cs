using System.Globalization;
using System.Text;
using Platform.Features.Contracts;
using Platform.Registry.Training;
using Platform.Testing;
using Sylvan.Data.Csv;

namespace Registry.Tests.Training;

/// <summary>The King County house sales as Features would hand them over: ISO dates, whole numbers for ids and zip codes.</summary>
internal static class KingCounty
{
    public static readonly TrainingColumn[] Columns =
    [
        new("id", DatasetColumnType.Integer), new("date", DatasetColumnType.Date), new("price", DatasetColumnType.Number),
        new("bedrooms", DatasetColumnType.Integer), new("bathrooms", DatasetColumnType.Number), new("sqft_living", DatasetColumnType.Integer),
        new("sqft_lot", DatasetColumnType.Integer), new("floors", DatasetColumnType.Number), new("waterfront", DatasetColumnType.Integer),
        new("view", DatasetColumnType.Integer), new("condition", DatasetColumnType.Integer), new("grade", DatasetColumnType.Integer),
        new("sqft_above", DatasetColumnType.Integer), new("sqft_basement", DatasetColumnType.Integer), new("yr_built", DatasetColumnType.Integer),
        new("yr_renovated", DatasetColumnType.Integer), new("zipcode", DatasetColumnType.Integer), new("lat", DatasetColumnType.Number),
        new("long", DatasetColumnType.Number), new("sqft_living15", DatasetColumnType.Integer), new("sqft_lot15", DatasetColumnType.Integer),
    ];

    public static MemoryStream Open()
    {
        using var reader = CsvDataReader.Create(SharedData.PathOf("data/kc_house_data.csv"));
        var csv = new StringBuilder(string.Join(',', Columns.Select(c => c.Name))).Append('\n');
        while (reader.Read())
        {
            var cells = Columns.Select(c => c.Type is DatasetColumnType.Date
                ? DateTime.ParseExact(reader.GetString(reader.GetOrdinal(c.Name)), "yyyyMMdd'T'HHmmss", CultureInfo.InvariantCulture).ToString("yyyy-MM-dd")
                : reader.GetString(reader.GetOrdinal(c.Name)));
            csv.Append(string.Join(',', cells)).Append('\n');
        }

        return new MemoryStream(Encoding.UTF8.GetBytes(csv.ToString()));
    }
}
