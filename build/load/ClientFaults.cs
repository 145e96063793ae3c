using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Platform.Load;

/// <summary>Clients that vanish in the middle, many at once, and clients that are slow on purpose, beside callers who are neither.</summary>
internal static class ClientFaults
{
    private const int AtOnce = 200, Waves = 5;

    public static async Task<int> RunAsync(string host, string[] options)
    {
        Console.WriteLine();
        await using var platform = await RunningPlatform.StartAsync(host);
        using var tenant = await platform.TenantAsync("faults");
        var (trees, wide) = (Model.Trees(), Model.Echo());
        await tenant.DeployAsync(trees, "trees");
        await tenant.DeployAsync(wide, wide.Name);
        var ledger = new Ledger(platform, tenant, tenant.Infer("trees"), [.. trees.Rows(500).Select(row => Bodies.Json(trees, row))]);
        var request = Request(tenant, "trees", Bodies.Json(trees, trees.Rows(1)[0]));
        var large = Request(tenant, wide.Name, Bodies.Json(wide, wide.Rows(500)));
        Ledger.Head();
        await MustNotFeelAsync("nothing", () => Task.Delay(TimeSpan.FromSeconds(3)));
        await MustNotFeelAsync($"{AtOnce} clients reset half-way through the body, {Waves} times", () => VanishAsync(request.AsMemory(0, request.Length - 100)));
        await MustNotFeelAsync($"{AtOnce} clients reset right after the body, {Waves} times", () => VanishAsync(request));
        await MustNotFeelAsync("20 clients reset while a large answer is on its way, 3 times", async () =>
        {
            for (var wave = 0; wave < 3; wave++) await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => AskAndReadAsync(large, 1000)));
        });
        var ended = TimeSpan.Zero;
        await MustNotFeelAsync("50 clients send a byte a second", async () => ended = (await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => SendSlowlyAsync(request)))).Max());
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"\nThe last of those who sent a byte a second was let go after {ended.TotalSeconds:F1} s."));
        ledger.Must(ended < TimeSpan.FromSeconds(60), "A client that sends a byte a second was kept.");
        var before = platform.Resident();
        await MustNotFeelAsync("20 clients read a byte a second of a large answer", async () => ended = (await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => ReadSlowlyAsync(large)))).Max());
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"\nThe last of those who read a byte a second was let go after {ended.TotalSeconds:F1} s; the process held {(platform.Resident() - before) / 1048576.0:F0} MiB more after it than before.\n"));
        ledger.Must(ended < Patience, "A client that reads a byte a second was kept.");
        ledger.Must(!platform.Output.ToString().Contains(" fail: ", StringComparison.Ordinal), $"A client that vanished was logged as a failure:\n{platform.Output}");
        return ledger.Failures;

        async Task MustNotFeelAsync(string fault, Func<Task> strikeAsync)
        {
            var told = await ledger.TryAsync(fault, async () =>
            {
                var began = Stopwatch.GetTimestamp();
                await strikeAsync();
                return Stopwatch.GetElapsedTime(began);
            });
            ledger.Must(told.Refused + told.Broken == 0, $"Other callers felt it: {told.Refused} were refused, {told.Broken} broken off.");
        }

        async Task VanishAsync(ReadOnlyMemory<byte> bytes)
        {
            for (var wave = 0; wave < Waves; wave++)
            {
                await Task.WhenAll(Enumerable.Range(0, AtOnce).Select(async _ =>
                {
                    using var socket = await ConnectAsync(platform);
                    await socket.SendAsync(bytes);
                    Reset(socket);
                }));
                await Task.Delay(200);
            }
        }

        async Task AskAndReadAsync(byte[] bytes, int least)
        {
            using var socket = await ConnectAsync(platform);
            try
            {
                await socket.SendAsync(bytes);
                var buffer = new byte[least];
                for (var read = 0; read < least;)
                {
                    var now = await socket.ReceiveAsync(buffer);
                    if (now == 0) return;
                    read += now;
                }
            }
            catch (SocketException)
            {
                // Refused in the middle of the body is as good a moment to vanish.
            }

            Reset(socket);
        }

        async Task<TimeSpan> SendSlowlyAsync(byte[] bytes)
        {
            using var socket = await ConnectAsync(platform);
            var began = Stopwatch.GetTimestamp();
            var head = Encoding.ASCII.GetString(bytes).IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4;
            await socket.SendAsync(bytes.AsMemory(0, head));
            try
            {
                for (var at = head; Stopwatch.GetElapsedTime(began) < Patience && !IsClosed(socket); at++)
                {
                    await socket.SendAsync(bytes.AsMemory(at, 1));
                    await Task.Delay(1000);
                }
            }
            catch (SocketException)
            {
                // Let go.
            }

            return Stopwatch.GetElapsedTime(began);
        }

        async Task<TimeSpan> ReadSlowlyAsync(byte[] bytes)
        {
            using var socket = await ConnectAsync(platform, receive: 4096);
            var began = Stopwatch.GetTimestamp();
            try
            {
                await socket.SendAsync(bytes);
                var one = new byte[1];
                // What lies in the buffers can still be read after the server has let go, so it is asked for by sending.
                while (Stopwatch.GetElapsedTime(began) < Patience && await socket.ReceiveAsync(one) > 0)
                {
                    await Task.Delay(1000);
                    await socket.SendAsync("\r\n"u8.ToArray());
                }
            }
            catch (SocketException)
            {
                // Let go.
            }

            return Stopwatch.GetElapsedTime(began);
        }
    }

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private static bool IsClosed(Socket socket) => socket.Poll(0, SelectMode.SelectRead) && socket.Receive(new byte[4096]) is var read && (read == 0 || socket.Poll(100_000, SelectMode.SelectRead));

    private static async Task<Socket> ConnectAsync(RunningPlatform platform, int? receive = null)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        if (receive is { } bytes) socket.ReceiveBufferSize = bytes;
        await socket.ConnectAsync(platform.Address.Host, platform.Address.Port);
        return socket;
    }

    /// <summary>Closes with a reset, as a process that was killed or a network that is gone does.</summary>
    private static void Reset(Socket socket)
    {
        socket.LingerState = new LingerOption(true, 0);
        socket.Close();
    }

    private static byte[] Request(LoadTenant tenant, string endpoint, byte[] body)
    {
        var url = tenant.Infer(endpoint);
        return [.. Encoding.ASCII.GetBytes($"POST {url.PathAndQuery} HTTP/1.1\r\nHost: {url.Authority}\r\nContent-Type: application/json\r\nAuthorization: Bearer {tenant.Key}\r\nContent-Length: {body.Length}\r\n\r\n"), .. body];
    }
}
