using Microsoft.Extensions.Configuration;

namespace Platform.Registry;

/// <summary>What an operator may change: PLATFORM_MAX_MODEL_BYTES, the largest model file taken (1 GiB), and PLATFORM_MAX_ARTIFACT_BYTES, the largest artifact
/// of a run (100 GiB); PLATFORM_EXAMPLE_SECONDS, how long a model may take for its input example, its load included (60).</summary>
internal sealed record RegistryLimits(long MaxModelBytes, long MaxArtifactBytes, TimeSpan ExamplePatience)
{
    private const long OneGibibyte = 1L << 30;

    public static RegistryLimits From(IConfiguration configuration) =>
        new(Math.Min(Bytes(configuration["PLATFORM_MAX_MODEL_BYTES"]) ?? OneGibibyte, OneGibibyte), Bytes(configuration["PLATFORM_MAX_ARTIFACT_BYTES"]) ?? 100 * OneGibibyte,
            TimeSpan.FromSeconds(Math.Clamp(Bytes(configuration["PLATFORM_EXAMPLE_SECONDS"]) ?? 60, 1, 3_600)));

    private static long? Bytes(string? setting) => long.TryParse(setting, out var bytes) && bytes > 0 ? bytes : null;
}
