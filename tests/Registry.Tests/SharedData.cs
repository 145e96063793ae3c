using System.Runtime.CompilerServices;

namespace Platform.Registry.Tests;

/// <summary>Files that stand in a folder <c>shared</c> beside the repository, or beside a folder above it, on some machines.
/// Tests on them are skipped elsewhere.</summary>
internal static class SharedData
{
    public static string? Find(params string[] path)
    {
        for (var above = Directory.GetParent(Repository()); above is not null; above = above.Parent)
        {
            var found = Path.Combine([above.FullName, "shared", .. path]);
            if (Path.Exists(found)) return found;
        }

        return null;
    }

    private static string Repository([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "..", ".."));
}

/// <summary>A fact about a file beside the repository; skipped, and counted as skipped, where it is not.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class FactOnSharedDataAttribute : FactAttribute
{
    public FactOnSharedDataAttribute(params string[] path)
    {
        if (SharedData.Find(path) is null) Skip = $"skipped: there is no shared/{string.Join('/', path)} beside the repository";
    }
}
