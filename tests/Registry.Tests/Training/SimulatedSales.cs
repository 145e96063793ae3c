using System.Globalization;
using System.Text;
using Platform.Features.Contracts;
using Platform.Kernel;
using Platform.Registry.Training;

namespace Registry.Tests.Training;

/// <summary>A made-up county: prices from area, region, kind, garden, season and noise, with holes as real tables have them.</summary>
internal static class SimulatedSales
{
    public static readonly TrainingColumn[] Columns =
    [
        new("sale_id", DatasetColumnType.Integer), new("sold", DatasetColumnType.Date), new("region", DatasetColumnType.Text),
        new("kind", DatasetColumnType.Text), new("area", DatasetColumnType.Number), new("rooms", DatasetColumnType.Integer),
        new("garden", DatasetColumnType.Boolean), new("price", DatasetColumnType.Number),
    ];

    public static readonly TrainingSpec Spec = new("price");

    public static IReadOnlyList<TrainingColumn> WithoutDate { get; } = [.. Columns.Where(c => c.Name != "sold")];

    public static MemoryStream Csv(int rows, int seed = 7, double missing = 0.05)
    {
        string[] regions = ["North, upper", "South", "\"Old\" Town", "Zürich-Berg", "Harbour\nfront"];
        string[] kinds = ["flat", "house", "villa"];
        var random = new Random(seed);
        var csv = new StringBuilder("sale_id,sold,region,kind,area,rooms,garden,price\n");
        for (int i = 0; i < rows; i++)
        {
            var day = new DateOnly(2021, 1, 1).AddDays(i * 900 / rows);
            int region = random.Next(regions.Length), kind = random.Next(kinds.Length), rooms = random.Next(1, 8);
            double area = 30 + (170 * random.NextDouble()), noise = (random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5) * 40_000;
            bool garden = random.Next(2) == 1;
            var season = Math.Sin(2 * Math.PI * day.DayOfYear / 365.25);
            var price = 50_000 + (2_000 * area) + (40_000 * region) + (60_000 * kind) + (garden ? 25_000 : 0) + (20_000 * season) + noise;
            string Cell(string value) => random.NextDouble() < missing ? "" : value;
            csv.Append(CultureInfo.InvariantCulture,
                $"{100_000 + i},{Cell(day.ToString("yyyy-MM-dd"))},{Cell(Quoted(regions[region]))},{Cell(kinds[kind])},{Cell(area.ToString("R"))},{Cell(rooms.ToString())},{Cell(garden ? "true" : "false")},{Math.Round(price)}\n");
        }

        return new MemoryStream(Encoding.UTF8.GetBytes(csv.ToString()));
    }

    public static async Task<TrainedModel> TrainAsync(int rows, TrainingSpec? spec = null, double missing = 0.05) =>
        (await Trainer.TrainAsync(Csv(rows, missing: missing), Columns, spec ?? Spec, new Progress<ChildProgress>(), CancellationToken.None)).Value;

    private static string Quoted(string value) => $"\"{value.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
}
