using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace Platform.Load;

/// <summary>What callers feel of work in the background: their latency alone, while a model is trained, and while another endpoint answers long lists of rows.</summary>
internal static class Background
{
    private const int Callers = 2, Rows = 60_000, Listed = 10_000;

    public static async Task RunAsync(LoadTenant quiet, LoadTenant busy, byte[][] rows, TimeSpan time, int rounds)
    {
        var (table, list) = Sales();
        await busy.PostCsvAsync("features/datasets?name=sales", table);
        // Also what the list is predicted by.
        await TrainedAsync(busy, await TrainAsync(busy, "listed"), CancellationToken.None);
        await busy.PostAsync("inference/endpoints", new { name = "listed", model = "listed", alias = "1" });

        Console.WriteLine("\n| callers | in the background | p50 alone | p50 beside it | ratio | p99 alone | p99 beside it | ratio | answered alone / beside it |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|");
        for (var round = 0; round < rounds; round++)
        {
            await BesideAsync("a training of 60,000 rows", async ct =>
            {
                for (var i = 0; !ct.IsCancellationRequested; i++)
                {
                    var job = await TrainAsync(busy, $"m-{round}-{i}");
                    await TrainedAsync(busy, job, ct);
                    if (ct.IsCancellationRequested) await busy.PostAsync($"registry/training-jobs/{job}/cancel", new { });
                }
            });
            await BesideAsync("lists of 10,000 rows, one after the other", async ct =>
            {
                while (!ct.IsCancellationRequested) await busy.StreamAsync("listed", list, CancellationToken.None);
            });
        }

        async Task BesideAsync(string what, Func<CancellationToken, Task> work)
        {
            var alone = await Neighbours.CallAsync(quiet, "trees", rows, time);
            using var stop = new CancellationTokenSource();
            var working = work(stop.Token);
            await Task.Delay(TimeSpan.FromSeconds(1));
            var beside = await Neighbours.CallAsync(quiet, "trees", rows, time);
            await stop.CancelAsync();
            await working;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"| trees | {what} | {alone.At(.5):F2} ms | {beside.At(.5):F2} ms | {beside.At(.5) / alone.At(.5):F1} | {alone.At(.99):F2} ms | {beside.At(.99):F2} ms | {beside.At(.99) / alone.At(.99):F1} | {alone.Answered.Count:N0} / {beside.Answered.Count:N0} |"));
        }
    }

    private static async Task<string> TrainAsync(LoadTenant tenant, string model) =>
        (await tenant.PostAsync("registry/training-jobs", new { dataset = "sales", target = "price", model }))["id"]!.ToString();

    /// <summary>Until the training has ended, or the token says that nobody waits for it.</summary>
    private static async Task TrainedAsync(LoadTenant tenant, string job, CancellationToken ct)
    {
        while (!ct.IsCancellationRequested && (await tenant.GetAsync($"registry/training-jobs/{job}"))["status"]!.ToString() is var status and not "succeeded")
        {
            if (status is "failed" or "cancelled") throw new InvalidOperationException($"The training {status}.");
            await Task.Delay(200, CancellationToken.None);
        }
    }

    /// <summary>Houses whose price follows from size, rooms and age, and a list of some to predict.</summary>
    private static (string Csv, JsonNode List) Sales()
    {
        var random = new Random(7);
        var csv = new StringBuilder("size,rooms,age,region,price\n");
        var list = new JsonArray();
        for (var i = 0; i < Rows; i++)
        {
            var (size, rooms, age, region) = (random.Next(40, 400), random.Next(1, 9), random.Next(0, 120), random.Next(40));
            var price = (size * (1500 + (region * 40))) + (rooms * 9000) - (age * 700) + random.Next(40_000);
            csv.Append(CultureInfo.InvariantCulture, $"{size},{rooms},{age},r{region},{price}\n");
            if (i < Listed) list.Add(new JsonObject { ["size"] = size, ["rooms"] = rooms, ["age"] = age, ["region"] = $"r{region}" });
        }
        return (csv.ToString(), new JsonObject { ["inputs"] = list });
    }
}
