using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Platform.Host.Operations;

/// <summary>Traces and metrics: always at <c>/metrics</c>, and to any OTLP collector when OTEL_EXPORTER_OTLP_ENDPOINT is set.</summary>
internal static class Telemetry
{
    public static void AddTelemetry(this WebApplicationBuilder builder)
    {
        var otlp = builder.Configuration["OTEL_EXPORTER_OTLP_ENDPOINT"] is { Length: > 0 };
        var telemetry = builder.Services.AddOpenTelemetry().ConfigureResource(r => r.AddService("platform"));
        telemetry.WithMetrics(metrics =>
        {
            metrics.AddMeter("Platform.*", "Marten", "Npgsql", "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel", "System.Runtime").AddPrometheusExporter();
            if (otlp) metrics.AddOtlpExporter();
        });
        // Spans cost on the prediction path; without a collector nobody would read them.
        if (otlp) telemetry.WithTracing(traces => traces.AddAspNetCoreInstrumentation().AddSource("Platform.*", "Marten", "Npgsql").AddOtlpExporter());
    }
}
