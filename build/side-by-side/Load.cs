using System.Diagnostics;
using System.Net.Sockets;
using System.Text;

namespace Platform.SideBySide;

/// <summary>What one run of load came to.</summary>
/// <param name="Failed">Answers other than 200. A run with any is not a measurement.</param>
internal sealed record LoadResult(int Callers, double Rps, double P50Micros, double P99Micros, long Answered, long Failed);

/// <summary>A closed loop over plain sockets: each caller has one connection, sends a body, reads the whole answer, sends the next. Bodies rotate,
/// because one repeated row lets the processor learn a tree's path.</summary>
internal static class Load
{
    public static async Task<LoadResult> RunAsync(Uri url, string? key, IReadOnlyList<byte[]> bodies, int callers, TimeSpan warmUp, TimeSpan time)
    {
        var requests = bodies.Select(body => Request(url, key, body)).ToArray();
        await CallAsync(url, requests, callers, warmUp);
        var since = Stopwatch.GetTimestamp();
        var results = await CallAsync(url, requests, callers, time);
        var took = Stopwatch.GetElapsedTime(since);
        var latencies = results.SelectMany(r => r.Latencies).Order().ToArray();
        return new(callers, latencies.Length / took.TotalSeconds, At(latencies, 0.5), At(latencies, 0.99), latencies.Length, results.Sum(r => r.Failed));
    }

    private static double At(double[] sorted, double share) => sorted.Length == 0 ? double.NaN : sorted[Math.Min(sorted.Length - 1, (int)(share * sorted.Length))];

    private static Task<(List<double> Latencies, long Failed)[]> CallAsync(Uri url, byte[][] requests, int callers, TimeSpan time)
    {
        var until = Stopwatch.GetTimestamp() + (long)(time.TotalSeconds * Stopwatch.Frequency);
        return Task.WhenAll(Enumerable.Range(0, callers).Select(caller => Task.Run(() => CallerAsync(url, requests, caller * requests.Length / callers, until))));
    }

    private static async Task<(List<double>, long)> CallerAsync(Uri url, byte[][] requests, int next, long until)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(url.Host, url.Port);
        var latencies = new List<double>(100_000);
        var buffer = new byte[64 * 1024];
        long failed = 0;
        while (Stopwatch.GetTimestamp() < until)
        {
            var began = Stopwatch.GetTimestamp();
            await socket.SendAsync(requests[next++ % requests.Length]);
            if (!await AnswerIsOkAsync(socket, buffer)) failed++;
            latencies.Add(Stopwatch.GetElapsedTime(began).TotalMicroseconds);
        }

        return (latencies, failed);
    }

    private static async Task<bool> AnswerIsOkAsync(Socket socket, byte[] buffer)
    {
        var filled = 0;
        while (true)
        {
            var read = await socket.ReceiveAsync(buffer.AsMemory(filled));
            if (read == 0) throw new IOException("The server closed the connection.");
            filled += read;
            if (IsWhole(buffer.AsSpan(0, filled))) return buffer.AsSpan(0, filled).StartsWith("HTTP/1.1 200"u8);
        }
    }

    private static bool IsWhole(ReadOnlySpan<byte> answer)
    {
        var end = answer.IndexOf("\r\n\r\n"u8);
        if (end < 0) return false;
        var headers = Encoding.ASCII.GetString(answer[..end]);
        var at = headers.IndexOf("content-length:", StringComparison.OrdinalIgnoreCase);
        if (at < 0) return answer.EndsWith("0\r\n\r\n"u8);
        var line = headers[(at + "content-length:".Length)..].Split('\r')[0];
        return answer.Length - end - 4 >= int.Parse(line);
    }

    private static byte[] Request(Uri url, string? key, byte[] body)
    {
        var head = $"POST {url.PathAndQuery} HTTP/1.1\r\nHost: {url.Authority}\r\nContent-Type: application/json\r\n{(key is null ? "" : $"Authorization: Bearer {key}\r\n")}Content-Length: {body.Length}\r\n\r\n";
        return [.. Encoding.ASCII.GetBytes(head), .. body];
    }
}
