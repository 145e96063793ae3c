using System.Security.Cryptography;
using Platform.Features.Contracts;
using Platform.Testing;

namespace Features.Tests.Datasets.Csv;

public class KingCountyTests
{
    private const string Sales = "data/kc_house_data.csv";

    [SharedDataFact(Sales)]
    public void All_sales_are_accepted_and_typed()
    {
        using var file = File.OpenRead(SharedData.PathOf(Sales));
        var read = ReadCsv.Of(file);

        (read.Content.Rows, read.Content.Quarantined).ShouldBe((21_613, 0));
        var types = read.Content.Columns.ToDictionary(column => column.Name, column => column.Type);
        types["date"].ShouldBe(DatasetColumnType.Date);
        types["price"].ShouldBe(DatasetColumnType.Integer);
        types["bathrooms"].ShouldBe(DatasetColumnType.Number);
        types["zipcode"].ShouldBe(DatasetColumnType.Integer);
        read.Content.Columns.Count.ShouldBe(21);
        read.Content.ContentSha256.ShouldBe(Convert.ToHexStringLower(SHA256.HashData(read.CanonicalBytes)));
    }
}
