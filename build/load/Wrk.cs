using System.Buffers.Binary;
using System.Diagnostics;
using System.Text.Json;

namespace Platform.Load;

/// <summary>What one run of load came to.</summary>
/// <param name="Failed">Answers other than 2xx. A run with any is not a measurement.</param>
internal sealed record LoadResult(double PerSecond, double P50Micros, double P99Micros, long Answered, long Failed);

/// <summary>wrk, the load generator: one thread of it costs a core least of all there are. Closed loop: each caller sends, waits for the answer, sends the next.</summary>
internal static class Wrk
{
    public static LoadResult Run(Uri url, IReadOnlyList<byte[]> bodies, int callers, TimeSpan time, params IReadOnlyList<(string Name, string Value)> headers) =>
        Run(url, bodies, callers, time, warmUp: true, headers);

    public static LoadResult Run(Uri url, IReadOnlyList<byte[]> bodies, int callers, TimeSpan time, bool warmUp, IReadOnlyList<(string Name, string Value)> headers)
    {
        var file = Path.GetTempFileName();
        try
        {
            using (var stream = File.Create(file))
            {
                Span<byte> length = stackalloc byte[4];
                foreach (var body in bodies)
                {
                    BinaryPrimitives.WriteInt32LittleEndian(length, body.Length);
                    stream.Write(length);
                    stream.Write(body);
                }
            }

            if (warmUp) One(TimeSpan.FromSeconds(2));
            return One(time);

            LoadResult One(TimeSpan lasting)
            {
                var info = new ProcessStartInfo("wrk",
                [
                    "-t1", $"-c{callers}", $"-d{lasting.TotalSeconds:F0}s", "--timeout", "10s", "-s", Path.Combine(AppContext.BaseDirectory, "rotate.lua"), url.ToString(), "--", file,
                    .. headers.Select(header => $"{header.Name}={header.Value}"),
                ])
                { RedirectStandardOutput = true };
                using var wrk = Process.Start(info)!;
                var output = wrk.StandardOutput.ReadToEnd();
                wrk.WaitForExit();
                var line = output.Split('\n').LastOrDefault(l => l.StartsWith('{')) ?? throw new InvalidOperationException($"wrk said: {output}");
                var said = JsonDocument.Parse(line).RootElement;
                long Of(string name) => said.GetProperty(name).GetInt64();
                return new(Of("answered") * 1e6 / Of("microseconds"), Of("p50"), Of("p99"), Of("answered"), Of("failed"));
            }
        }
        finally
        {
            File.Delete(file);
        }
    }
}
