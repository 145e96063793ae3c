using System.Security.Cryptography;
using Platform.Features.Contracts;

namespace Features.Tests.Datasets.Csv;

/// <summary>Runs on the King County house sales where they lie beside the repository, and is skipped where they do not.</summary>
public sealed class KingCountyFactAttribute : FactAttribute
{
    public static readonly string? File = Find();

    public KingCountyFactAttribute() => Skip = File is null ? "skipped: ../shared/data/kc_house_data.csv is not here" : null;

    private static string? Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var file = Path.Combine(folder.FullName, "shared", "data", "kc_house_data.csv");
            if (System.IO.File.Exists(file)) return file;
        }
        return null;
    }
}

public class KingCountyTests
{
    [KingCountyFact]
    public void All_sales_are_accepted_and_typed()
    {
        using var file = File.OpenRead(KingCountyFactAttribute.File!);
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
