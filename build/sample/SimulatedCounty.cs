using System.Globalization;

namespace Platform.Sample;

/// <summary>House sales of a county that does not exist, for trying the platform without data of one's own. The same seed gives the
/// same file. Every sale id begins with SIM, so that a row is known as simulated wherever it turns up.</summary>
internal static class SimulatedCounty
{
    private sealed record Region(string Name, double Weight, double PricePerM2, double Distance, double Spread);

    private sealed record PropertyType(string Name, double Weight, double Living, double Lot, double Factor, double Garden);

    private static readonly Region[] Regions =
    [
        new("Old Town", 0.16, 5_200, 1.2, 0.7),
        new("Harbour", 0.14, 4_700, 2.5, 1.0),
        new("University", 0.15, 4_300, 3.4, 1.1),
        new("Garden Suburb", 0.19, 3_900, 6.5, 1.8),
        new("Mill Valley", 0.16, 2_900, 11.0, 2.5),
        new("Airport", 0.10, 2_300, 13.5, 2.2),
        new("Lake District", 0.06, 4_100, 19.0, 3.5),
        new("Far Hills", 0.04, 1_900, 27.0, 5.0),
    ];

    private static readonly PropertyType[] Types =
    [
        new("apartment", 0.44, 74, 0, 1.00, 0.12),
        new("terraced house", 0.24, 112, 190, 1.04, 0.82),
        new("detached house", 0.26, 148, 620, 1.16, 0.96),
        new("farmhouse", 0.06, 190, 4_200, 0.92, 1.00),
    ];

    private static readonly DateOnly FirstDay = new(2021, 1, 1);
    private const int Days = 4 * 365;

    public static void Write(TextWriter csv, int rows, int seed)
    {
        csv.NewLine = "\n";
        csv.WriteLine("sale_id,sold_on,region,property_type,living_area_m2,lot_area_m2,rooms,bathrooms,year_built,condition,distance_to_center_km,has_garden,price");
        var random = new Random(seed);
        for (var row = 0; row < rows; row++) csv.WriteLine(Sale(row, (int)((long)row * Days / rows), random));
    }

    private static string Sale(int row, int day, Random random)
    {
        var region = Pick(Regions, region => region.Weight, random);
        var type = Pick(Types, type => type.Weight, random);
        var soldOn = FirstDay.AddDays(day);

        var living = Math.Round(Math.Clamp(type.Living * Math.Exp(0.28 * Normal(random)), 22, 480));
        var lot = type.Lot == 0 ? 0 : Math.Round(Math.Clamp(type.Lot * Math.Exp(0.45 * Normal(random)), living * 0.6, 30_000));
        var rooms = (int)Math.Clamp(Math.Round(living / 27 + 0.6 * Normal(random)), 1, 14);
        var bathrooms = Math.Clamp(Math.Round(2 * (0.6 + living / 110 + 0.25 * Normal(random))) / 2, 1, 5);
        var built = Math.Min(soldOn.Year, 1890 + (int)(134 * Math.Pow(random.NextDouble(), 0.75)));
        var condition = Math.Clamp((int)Math.Round(3.2 + 0.9 * Normal(random) + (built > 2005 ? 0.8 : 0)), 1, 5);
        var distance = Math.Round(Math.Max(0.2, region.Distance + region.Spread * Normal(random)), 1);
        var garden = random.NextDouble() < type.Garden;

        // Larger homes cost less per square metre; very old ones are sought after again.
        var age = soldOn.Year - built;
        var price = region.PricePerM2 * 100 * Math.Pow(living / 100, 0.88) * type.Factor
            * (1 + 0.055 * (condition - 3)) * (1 - 0.0034 * Math.Min(age, 75) + (age > 95 ? 0.07 : 0))
            * Math.Exp(-0.016 * (distance - region.Distance)) * (1 + 0.018 * Math.Log(1 + lot / 150)) * (garden ? 1.03 : 1)
            * (1 + 0.015 * (bathrooms - 1.5));
        // 5 % a year, dearest in early summer, and 9 % that nothing recorded here explains.
        var years = day / 365.0;
        price *= Math.Pow(1.05, years) * (1 + 0.025 * Math.Sin(2 * Math.PI * (years - 0.2))) * Math.Exp(0.09 * Normal(random));

        return string.Create(CultureInfo.InvariantCulture,
            $"SIM-{row + 1:000000},{soldOn:yyyy-MM-dd},{region.Name},{type.Name},{living},{(type.Lot == 0 ? "" : lot)},{rooms},{Unless(0.015, bathrooms)},{Unless(0.03, built)},{Unless(0.02, condition)},{distance},{(garden ? "true" : "false")},{Math.Round(price / 500) * 500}");

        string Unless(double missing, double value) => random.NextDouble() < missing ? "" : value.ToString(CultureInfo.InvariantCulture);
    }

    private static T Pick<T>(T[] among, Func<T, double> weight, Random random)
    {
        var left = random.NextDouble() * among.Sum(weight);
        foreach (var one in among)
        {
            left -= weight(one);
            if (left < 0) return one;
        }
        return among[^1];
    }

    /// <summary>A standard normal number (Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958).</summary>
    private static double Normal(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
