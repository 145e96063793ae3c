using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Platform.Host.Store;
using Platform.Kernel;

namespace Platform.Host.Operations;

/// <summary>Liveness says the process answers; readiness says it can serve: the database is reached, and each module that has to prepare has done so.</summary>
internal static class Health
{
    public static void AddHealth(this IServiceCollection services)
    {
        services.AddHealthChecks().AddCheck<DatabaseCheck>("database", tags: ["ready"]);
        services.AddGrpcHealthChecks(grpc =>
        {
            // As a whole, and by the name of the one service there is: both say what /health/ready says.
            grpc.Services.Map("", check => check.Tags.Contains("ready"));
            grpc.Services.Map("inference.GRPCInferenceService", check => check.Tags.Contains("ready"));
        });
    }

    public static void MapHealth(this IEndpointRouteBuilder routes)
    {
        routes.MapHealthChecks("/health/live", new HealthCheckOptions { Predicate = _ => false }).WithName("Live").IsOpen("Probes carry no credential, and the answer tells nothing else.");
        routes.MapGrpcHealthChecksService().IsOpen("Probes carry no credential, and the answer tells nothing else.");
        routes.MapHealthChecks("/health/ready", new HealthCheckOptions { Predicate = check => check.Tags.Contains("ready") }).WithName("Ready").IsOpen("Probes carry no credential, and the answer tells nothing else.");
    }

    /// <summary><c>Platform.Host --health</c>: asks the running host whether it is ready; for containers without an HTTP client.</summary>
    public static async Task<int> ProbeAsync(PlatformSettings settings)
    {
        try
        {
            using var client = new HttpClient { Timeout = TimeSpan.FromSeconds(5) };
            var host = settings.Url.Host is "0.0.0.0" or "[::]" or "*" or "+" ? "127.0.0.1" : settings.Url.Host;
            using var answer = await client.GetAsync(new Uri($"{settings.Url.Scheme}://{host}:{settings.Url.Port}/health/ready"));
            return answer.IsSuccessStatusCode ? 0 : 1;
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
        {
            return 1;
        }
    }

    private sealed class DatabaseCheck(Database database) : IHealthCheck
    {
        public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
        {
            try
            {
                await using var command = database.App.CreateCommand("select 1");
                command.CommandTimeout = 3;
                await command.ExecuteScalarAsync(cancellationToken);
                return HealthCheckResult.Healthy();
            }
            catch (Exception e) when (e is Npgsql.NpgsqlException or TimeoutException)
            {
                return HealthCheckResult.Unhealthy("The database is not reached.");
            }
        }
    }
}
