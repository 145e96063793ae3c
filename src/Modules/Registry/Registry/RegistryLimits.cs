using Microsoft.Extensions.Configuration;

namespace Platform.Registry;

/// <summary>What an operator may change: PLATFORM_MAX_MODEL_BYTES, the largest model file taken (1 GiB).</summary>
internal sealed record RegistryLimits(long MaxModelBytes)
{
    private const long OneGibibyte = 1L << 30;

    public static RegistryLimits From(IConfiguration configuration) =>
        new(long.TryParse(configuration["PLATFORM_MAX_MODEL_BYTES"], out var bytes) && bytes > 0 ? Math.Min(bytes, OneGibibyte) : OneGibibyte);
}
