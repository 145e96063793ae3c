using System.Globalization;
using System.Text.RegularExpressions;

namespace Platform.Host.EmbeddedPostgres;

/// <summary>The PostgreSQL programs to run. A cluster is opened by the major version that wrote it, and by no other.</summary>
internal sealed partial record ServerBinaries(string Directory, int Major)
{
    // The oldest release the event store supports.
    private const int OldestMajor = 13;

    internal string Postgres => Path.Combine(Directory, "postgres");
    internal string InitDb => Path.Combine(Directory, "initdb");

    /// <param name="clusterMajor">The version that wrote the data, or null when there is none yet: then the newest found is taken.</param>
    internal static async Task<ServerBinaries> FindAsync(string dataDirectory, int? clusterMajor, CancellationToken ct)
    {
        List<ServerBinaries> others = [];
        foreach (var folder in Candidates(dataDirectory))
        {
            if (await ReadAsync(folder, ct) is not { } found) continue;
            if (clusterMajor is { } wanted ? found.Major == wanted : found.Major >= OldestMajor) return found;
            others.Add(found);
        }

        if (clusterMajor is { } major && others.Count > 0)
        {
            throw new EmbeddedServerException(
                $"The data in {dataDirectory} was written by PostgreSQL {major}, and this machine has {string.Join(", ", others.Select(o => o.Major).Distinct())}. " +
                $"Install version {major} beside it (apt-get install postgresql-{major}), or move the data to the new version with pg_upgrade.");
        }

        if (Environment.GetEnvironmentVariable("PLATFORM_PG_BIN") is { Length: > 0 } named)
        {
            throw new EmbeddedServerException(
                $"PLATFORM_PG_BIN names {named}, which holds no PostgreSQL {OldestMajor} or later that runs (it needs the programs postgres and initdb). " +
                "Correct it, or unset it to let the platform look for itself.");
        }

        throw new EmbeddedServerException(
            $"No PostgreSQL {clusterMajor ?? OldestMajor}{(clusterMajor is null ? " or later" : "")} was found on this machine. " +
            "Install it (on Debian or Ubuntu: apt-get install postgresql), start with ./build/run, which fetches it, " +
            "name its programs' folder in PLATFORM_PG_BIN, or name a server of yours in PLATFORM_DATABASE.");
    }

    private static IEnumerable<string> Candidates(string dataDirectory)
    {
        // An explicit choice is obeyed, not supplemented: falling through to another version would surprise.
        if (Environment.GetEnvironmentVariable("PLATFORM_PG_BIN") is { Length: > 0 } named) return [named];
        return
        [
            Path.Combine(dataDirectory, "runtime", "postgresql", "bin"),
            .. Versions("/usr/lib/postgresql", "*"),
            .. Versions("/usr", "pgsql-*"),
            .. (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries),
        ];

        static IEnumerable<string> Versions(string root, string pattern) => System.IO.Directory.Exists(root)
            ? System.IO.Directory.GetDirectories(root, pattern).OrderByDescending(d => FirstNumber(Path.GetFileName(d))).Select(d => Path.Combine(d, "bin"))
            : [];
    }

    private static async Task<ServerBinaries?> ReadAsync(string folder, CancellationToken ct)
    {
        var found = new ServerBinaries(folder, 0);
        if (!File.Exists(found.Postgres) || !File.Exists(found.InitDb)) return null;
        try
        {
            var version = await Subprocess.RunAsync([found.Postgres, "--version"], ct);
            return version.Succeeded ? found with { Major = FirstNumber(version.Output) } : null;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            // Built for another processor, or not executable: as good as absent.
            return null;
        }
    }

    private static int FirstNumber(string text) =>
        int.TryParse(Digits().Match(text).Value, CultureInfo.InvariantCulture, out var number) ? number : 0;

    [GeneratedRegex(@"\d+")]
    private static partial Regex Digits();
}
