using System.Net.Sockets;
using System.Text;

namespace Platform.Load;

/// <summary>Callers that remember every answer, for what must not be lost: each has one connection and sends the next request after the answer to the last.</summary>
internal sealed class Callers : IAsyncDisposable
{
    private readonly CancellationTokenSource stop = new();
    private readonly Task<Told>[] callers;

    public Callers(Uri url, string key, IReadOnlyList<byte[]> bodies, int count)
    {
        var requests = bodies.Select(body => Request(url, key, body)).ToArray();
        callers = [.. Enumerable.Range(0, count).Select(i => Task.Run(() => CallAsync(url, requests, i * requests.Length / count)))];
    }

    /// <summary>Ends the callers and gives what they were told.</summary>
    public async Task<Told> EndAsync()
    {
        await stop.CancelAsync();
        var told = await Task.WhenAll(callers);
        return new([.. told.SelectMany(t => t.Answered)], told.Sum(t => t.Refused), told.Sum(t => t.Broken), [.. told.SelectMany(t => t.Milliseconds)]);
    }

    public async ValueTask DisposeAsync()
    {
        await EndAsync();
        stop.Dispose();
    }

    private async Task<Told> CallAsync(Uri url, byte[][] requests, int next)
    {
        List<Guid> answered = [];
        List<double> milliseconds = [];
        var (refused, broken) = (0, 0);
        var buffer = new byte[64 << 10];
        while (!stop.IsCancellationRequested)
        {
            try
            {
                using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                await socket.ConnectAsync(url.Host, url.Port);
                while (!stop.IsCancellationRequested)
                {
                    var began = System.Diagnostics.Stopwatch.GetTimestamp();
                    await socket.SendAsync(requests[next++ % requests.Length]);
                    var length = await AnswerAsync(socket, buffer);
                    if (!buffer.AsSpan(0, length).StartsWith("HTTP/1.1 200"u8))
                    {
                        refused++;
                        // As a client would that was told to come back.
                        await Task.Delay(20);
                        continue;
                    }

                    milliseconds.Add(System.Diagnostics.Stopwatch.GetElapsedTime(began).TotalMilliseconds);
                    answered.Add(PredictionId(buffer.AsSpan(0, length)));
                }
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                broken++;
                await Task.Delay(20);
            }
        }

        return new(answered, refused, broken, milliseconds);
    }

    private static Guid PredictionId(ReadOnlySpan<byte> answer)
    {
        var mark = "\"prediction_id\":\""u8;
        var at = answer.IndexOf(mark);
        return Guid.Parse(Encoding.ASCII.GetString(answer.Slice(at + mark.Length, 36)));
    }

    private static async Task<int> AnswerAsync(Socket socket, byte[] buffer)
    {
        var filled = 0;
        while (true)
        {
            var read = await socket.ReceiveAsync(buffer.AsMemory(filled));
            if (read == 0) throw new IOException("The server closed the connection.");
            filled += read;
            if (IsWhole(buffer.AsSpan(0, filled))) return filled;
        }
    }

    private static bool IsWhole(ReadOnlySpan<byte> answer)
    {
        var end = answer.IndexOf("\r\n\r\n"u8);
        if (end < 0) return false;
        var headers = Encoding.ASCII.GetString(answer[..end]);
        var at = headers.IndexOf("content-length:", StringComparison.OrdinalIgnoreCase);
        if (at < 0) return answer.EndsWith("0\r\n\r\n"u8);
        return answer.Length - end - 4 >= int.Parse(headers[(at + "content-length:".Length)..].Split('\r')[0]);
    }

    private static byte[] Request(Uri url, string key, byte[] body)
    {
        var head = $"POST {url.PathAndQuery} HTTP/1.1\r\nHost: {url.Authority}\r\nContent-Type: application/json\r\nAuthorization: Bearer {key}\r\nContent-Length: {body.Length}\r\n\r\n";
        return [.. Encoding.ASCII.GetBytes(head), .. body];
    }
}

/// <param name="Answered">The id of every prediction that was answered with 200.</param>
/// <param name="Refused">Answers that said no.</param>
/// <param name="Broken">Connections that broke.</param>
/// <param name="Milliseconds">How long each answer took.</param>
internal sealed record Told(IReadOnlyList<Guid> Answered, int Refused, int Broken, IReadOnlyList<double> Milliseconds)
{
    public double At(double share) => Milliseconds.Count == 0 ? double.NaN : Milliseconds.Order().ElementAt(Math.Min(Milliseconds.Count - 1, (int)(share * Milliseconds.Count)));
}
