using System.Text;
using Platform.Sample;

namespace Features.Tests.Datasets.Csv;

public class SimulatedCountyTests
{
    private static string Csv(int rows, int seed)
    {
        using var text = new StringWriter();
        SimulatedCounty.Write(text, rows, seed);
        return text.ToString();
    }

    [Fact]
    public void The_same_seed_gives_the_same_sales_and_another_seed_others()
    {
        Csv(500, 7).ShouldBe(Csv(500, 7));
        Csv(500, 8).ShouldNotBe(Csv(500, 7));
    }

    [Fact]
    public void The_sample_reads_clean_and_has_every_kind_of_column_and_missing_values()
    {
        var content = ReadCsv.Of(Encoding.UTF8.GetBytes(Csv(6_000, 20_240_601))).Content;

        (content.Rows, content.Quarantined).ShouldBe((6_000, 0));
        content.Columns.ToDictionary(column => column.Name, column => column.Type.ToString()).ShouldBe(new Dictionary<string, string>
        {
            ["sale_id"] = "Text",
            ["sold_on"] = "Date",
            ["region"] = "Text",
            ["property_type"] = "Text",
            ["living_area_m2"] = "Integer",
            ["lot_area_m2"] = "Integer",
            ["rooms"] = "Integer",
            ["bathrooms"] = "Number",
            ["year_built"] = "Integer",
            ["condition"] = "Integer",
            ["distance_to_center_km"] = "Number",
            ["has_garden"] = "Boolean",
            ["price"] = "Integer",
        }, ignoreOrder: true);
        content.Columns.Where(column => column.Missing > 0).Select(column => column.Name)
            .ShouldBe(["lot_area_m2", "bathrooms", "year_built", "condition"]);
    }

    [Fact]
    public void Every_sale_says_that_it_is_simulated() =>
        Csv(50, 1).Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(1).ShouldAllBe(line => line.StartsWith("SIM-"));
}
