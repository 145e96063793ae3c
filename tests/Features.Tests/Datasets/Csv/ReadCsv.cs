using System.Text;
using Platform.Features.Datasets.Csv;
using Platform.Kernel;

namespace Features.Tests.Datasets.Csv;

/// <summary>What came out of reading one CSV, with the two files it made.</summary>
internal sealed record ReadCsv(Result<DatasetContent> Result, byte[] CanonicalBytes, string Quarantine)
{
    public static readonly DatasetLimits Limits = new();

    public DatasetContent Content => Result.Value;

    public Refusal Refusal => Result.Refusal.ShouldNotBeNull();

    public string Canonical => Encoding.UTF8.GetString(CanonicalBytes);

    public IEnumerable<string> Types => Content.Columns.Select(column => column.Type.ToString());

    public static ReadCsv Of(string csv, DatasetLimits? limits = null) => Of(Encoding.UTF8.GetBytes(csv), limits);

    public static ReadCsv Of(byte[] csv, DatasetLimits? limits = null) => Of(new MemoryStream(csv), limits);

    public static ReadCsv Of(Stream csv, DatasetLimits? limits = null)
    {
        using var canonical = new MemoryStream();
        using var quarantine = new MemoryStream();
        var result = DatasetReader.Read(csv, canonical, quarantine, limits ?? Limits, CancellationToken.None);
        return new ReadCsv(result, canonical.ToArray(), Encoding.UTF8.GetString(quarantine.ToArray()));
    }

    /// <summary>So many copies of a line, so that one bad value among them is the exception and not the rule.</summary>
    public static string Many(int count, string line) => string.Concat(Enumerable.Repeat(line + "\n", count));
}
