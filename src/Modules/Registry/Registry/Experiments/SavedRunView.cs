namespace Platform.Registry.Experiments;

/// <summary>A way to look at an experiment's runs that somebody gave a name: what is searched for, in which order, and with which columns. The tenant's people share it.</summary>
/// <param name="Columns">Such as <c>metrics.rmse</c>, in their order; none means the first few.</param>
internal sealed record SavedRunView(
    string Id, long Experiment, string Name, string? Filter, string? OrderBy, IReadOnlyList<string> Columns, bool Deleted, string SavedBy, DateTimeOffset SavedAt)
{
    public const int LongestName = 100;

    /// <summary>The name may be any text, so a hash of it stands in the id.</summary>
    public static string Key(long experiment, string name) => $"{experiment}/{Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(name)))}";
}

/// <summary>The view as the API shows it.</summary>
/// <param name="Filter">In the language of filters on runs.</param>
/// <param name="OrderBy">Such as <c>metrics.rmse ASC</c>.</param>
/// <param name="Deleted">Whether it is of the deleted runs.</param>
internal sealed record RunViewSettings(string Name, string? Filter, string? OrderBy, IReadOnlyList<string> Columns, bool Deleted, string SavedBy, DateTimeOffset SavedAt)
{
    public static RunViewSettings Of(SavedRunView v) => new(v.Name, v.Filter, v.OrderBy, v.Columns, v.Deleted, v.SavedBy, v.SavedAt);
}
