using Xunit;

namespace Platform.Testing;

/// <summary>A test on data that stands beside a checkout on some machines (<c>../shared/{file}</c>); skipped where it is not.</summary>
public sealed class SharedDataFactAttribute : FactAttribute
{
    public SharedDataFactAttribute(string file)
    {
        if (!File.Exists(SharedData.PathOf(file))) Skip = $"skipped: ../shared/{file} is not here";
    }
}

/// <summary>Where that data is.</summary>
public static class SharedData
{
    /// <summary>The repository's root, found upwards from the test's own folder.</summary>
    public static string Root { get; } = FindRoot();

    public static string PathOf(string file) => Path.GetFullPath(Path.Combine(Root, "..", "shared", file));

    private static string FindRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Platform.sln"))) folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("Platform.sln was not found above the tests.");
        return folder;
    }
}
