using System.Security.Cryptography;

namespace Platform.Host;

/// <summary>What an operator sets, read from the environment (or any other configuration source) once at start.</summary>
/// <param name="Data">PLATFORM_DATA: the folder of the embedded database, blobs and secrets. Default <c>./data</c>.</param>
/// <param name="Url">PLATFORM_URL: where pages and the REST API listen. Default <c>http://127.0.0.1:8080</c>.</param>
/// <param name="GrpcUrl">PLATFORM_GRPC_URL: gRPC over plain HTTP/2. Default: the same host, port 8081.</param>
/// <param name="Database">PLATFORM_DATABASE: connection string of the schema's owner in a PostgreSQL of yours; without it an embedded one is started.</param>
internal sealed record PlatformSettings(string Data, Uri Url, Uri GrpcUrl, string? Database)
{
    public static PlatformSettings From(IConfiguration configuration)
    {
        var url = Address(configuration, "PLATFORM_URL", "http://127.0.0.1:8080");
        return new(
            Path.GetFullPath(configuration["PLATFORM_DATA"] ?? "data"),
            url,
            Address(configuration, "PLATFORM_GRPC_URL", $"http://{url.Host}:8081"),
            configuration["PLATFORM_DATABASE"]);
    }

    private static Uri Address(IConfiguration configuration, string name, string fallback) =>
        Uri.TryCreate(configuration[name] ?? fallback, UriKind.Absolute, out var address) && address.Scheme is "http" or "https"
            ? address
            : throw new StartupRefusedException($"{name} is '{configuration[name]}', which is not an address. Set it to something like {fallback}.");

    /// <summary>A secret of this installation: the given environment value, else a random one kept in a file only its owner can read.</summary>
    /// <returns>The secret and whether it was made just now.</returns>
    public (string Value, bool IsNew) Secret(IConfiguration configuration, string variable, string file, Func<string> make)
    {
        if (configuration[variable] is { Length: > 0 } given) return (given, false);
        var path = Path.Combine(Data, "secrets", file);
        if (File.Exists(path)) return (File.ReadAllText(path).Trim(), false);

        Directory.CreateDirectory(Path.GetDirectoryName(path)!, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var made = make();
        var draft = path + ".new";
        using (var stream = new FileStream(draft, new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        }))
        using (var writer = new StreamWriter(stream))
        {
            writer.Write(made);
        }

        // Renamed into place, so that a process killed here leaves no half a secret behind.
        File.Move(draft, path);
        return (made, true);
    }

    /// <summary>The installation's master key: PLATFORM_MASTER_KEY (32 bytes in base64) or a generated file. It wraps every tenant's data key.</summary>
    public byte[] MasterKey(IConfiguration configuration)
    {
        var (text, _) = Secret(configuration, "PLATFORM_MASTER_KEY", "master-key", () => Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)));
        var key = new byte[32];
        return Convert.TryFromBase64String(text, key, out var written) && written == 32
            ? key
            : throw new StartupRefusedException("The master key (PLATFORM_MASTER_KEY, or secrets/master-key) must be 32 bytes in base64. Make one with: openssl rand -base64 32");
    }
}

/// <summary>The host cannot start and says why in one sentence with the mend; shown without a stack trace.</summary>
internal sealed class StartupRefusedException(string message) : Exception(message);
