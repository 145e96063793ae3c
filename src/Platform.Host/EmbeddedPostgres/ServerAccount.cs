using System.Globalization;
using System.Runtime.InteropServices;

namespace Platform.Host.EmbeddedPostgres;

/// <summary>
/// Who PostgreSQL runs as. It refuses to run as root, so under root it gets the owner of its data, or the system's
/// <c>postgres</c> user; otherwise it runs as the host does.
/// </summary>
internal sealed class ServerAccount
{
    private const string UserName = "postgres";

    private readonly (uint User, uint Group)? _ids;
    private string? _capability;

    private ServerAccount((uint User, uint Group)? ids) => _ids = ids;

    /// <summary>Null, or the privilege the server needs to reach its data through folders closed to its user.</summary>
    internal string? Capability => _capability;

    internal static async Task<ServerAccount> ForAsync(string clusterDirectory, CancellationToken ct)
    {
        if (!Environment.IsPrivilegedProcess) return new ServerAccount(ids: null);
        if (Directory.Exists(clusterDirectory))
        {
            var owner = await Subprocess.RunAsync(["stat", "-c", "%u %g", clusterDirectory], ct);
            if (owner.Succeeded && Ids(owner.Output) is { User: not 0 } found) return new ServerAccount(found);
        }

        return new ServerAccount(await SystemUserAsync(ct));
    }

    /// <summary>The command as this account's, ending with the caller: <paramref name="diesWithCaller"/> ties it to the calling *thread*, which must outlive it.</summary>
    internal IReadOnlyList<string> Command(IEnumerable<string> command, bool diesWithCaller = false)
    {
        List<string> words = ["setpriv"];
        if (_ids is { } ids)
            words.AddRange([$"--reuid={ids.User}", $"--regid={ids.Group}", "--clear-groups"]);
        if (_capability is not null)
            words.AddRange([$"--inh-caps=-all,+{_capability}", $"--ambient-caps=-all,+{_capability}"]);
        if (diesWithCaller)
            words.AddRange(["--pdeathsig", "INT"]);
        return words.Count == 1 ? [.. command] : [.. words, "--", .. command];
    }

    /// <summary>A folder only this account (and root) can enter.</summary>
    internal void CreateFolder(string path)
    {
        Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Own(path);
    }

    internal void Own(string path)
    {
        if (_ids is { } ids && ChangeOwner(path, ids.User, ids.Group) != 0)
            throw new IOException($"The owner of {path} could not be changed: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    /// <summary>
    /// Makes sure that the account reaches <paramref name="folder"/>, which it owns. A data folder under one closed to
    /// others (a repository cloned into /root) would otherwise fail, so the server is then lent the one privilege of passing through.
    /// </summary>
    internal async Task EnsureReachesAsync(string folder, CancellationToken ct)
    {
        if (_ids is null) return;
        // Containers commonly grant root the second but not the first.
        foreach (var capability in (string?[])[null, "dac_read_search", "dac_override"])
        {
            _capability = capability;
            if ((await Subprocess.RunAsync(Command(["stat", Path.Combine(folder, ".")]), ct)).Succeeded) return;
        }

        var closed = await FirstClosedAsync(folder, ct);
        throw new EmbeddedServerException(
            $"PostgreSQL does not run as root, and its user '{UserName}' cannot pass through {closed} to its data. " +
            $"Open the way with `chmod o+x {closed}`, choose another place with PLATFORM_DATA, or start the platform as an ordinary user.");
    }

    private async Task<string> FirstClosedAsync(string folder, CancellationToken ct)
    {
        _capability = null;
        var path = "/";
        foreach (var part in folder.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            if (!(await Subprocess.RunAsync(Command(["stat", Path.Combine(path, ".")]), ct)).Succeeded) return path;
            path = Path.Combine(path, part);
        }

        return path;
    }

    private static async Task<(uint, uint)> SystemUserAsync(CancellationToken ct)
    {
        if (await LookUpAsync() is { } known) return known;
        var made = await Subprocess.RunAsync(["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/", "--shell", "/usr/sbin/nologin", UserName], ct);
        return await LookUpAsync() ?? throw new EmbeddedServerException(
            $"PostgreSQL does not run as root, and the user '{UserName}' could not be made for it ({made.Error}). " +
            "Make that user, or start the platform as an ordinary one.");

        async Task<(uint, uint)?> LookUpAsync()
        {
            var user = await Subprocess.RunAsync(["id", "-u", UserName], ct);
            var group = await Subprocess.RunAsync(["id", "-g", UserName], ct);
            return user.Succeeded && group.Succeeded ? Ids($"{user.Output} {group.Output}") : null;
        }
    }

    private static (uint User, uint Group) Ids(string text)
    {
        var parts = text.Split(' ');
        return (uint.Parse(parts[0], CultureInfo.InvariantCulture), uint.Parse(parts[1], CultureInfo.InvariantCulture));
    }

    [DllImport("libc", EntryPoint = "lchown", SetLastError = true)]
    private static extern int ChangeOwner([MarshalAs(UnmanagedType.LPUTF8Str)] string path, uint user, uint group);
}
