using System.IO.Compression;
using Microsoft.ML;
using Platform.Inference.Predict.Runtimes;
using Platform.Testing;

namespace Inference.Tests.Runtimes;

/// <summary>ML.NET archives, from upload to prediction.</summary>
public sealed class MlNetModelTests
{
    [Fact]
    public async Task An_uploaded_archive_predicts_what_ML_NET_predicts()
    {
        var (archive, expected) = Train();
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(archive, "flats");
        var version = await tenant.Developer.GetJsonAsync("api/v1/registry/models/flats/versions/1");
        version.GetProperty("kind").GetString().ShouldBe("ml-net");
        version.GetProperty("predictionOutput").GetString().ShouldBe("Score");
        version.GetProperty("intake").GetProperty("example").GetProperty("medianMs").GetDouble().ShouldBeGreaterThan(0);
        (await tenant.Developer.GetAsync("api/v1/registry/models/flats/versions/1/artifact")).Content.Headers.ContentDisposition!.FileName!.Trim('"').ShouldBe("flats-1.zip");
        (await tenant.Developer.GetJsonAsync("v2/models/flats")).GetProperty("platform").GetString().ShouldBe("mlnet_zip");
        var config = await tenant.Developer.GetJsonAsync("v2/models/flats/config");
        (config.GetProperty("platform").GetString(), config.GetProperty("backend").GetString()).ShouldBe(("mlnet_zip", "mlnet"));
        // The label is in the saved schema, and nobody needs to send it.
        version.GetProperty("columns").EnumerateArray().Select(column => column.GetProperty("name").GetString()).Order().ShouldBe(["City", "Size"]);
        foreach (var (size, city, price) in expected)
        {
            var answer = await tenant.PredictedAsync($$$"""{"inputs": {"Size": {{{size}}}, "City": "{{{city}}}"}}""", "flats");
            ((float)answer.GetProperty("prediction").GetDouble()).ShouldBe(price);
        }
        (await tenant.UsageAsync()).ShouldBe(expected.Count);
    }

    [Fact]
    public async Task Archives_that_are_damaged_or_unpack_to_far_more_are_refused_in_words()
    {
        var tenant = await TestTenant.NewAsync();
        (await RefusalAsync([.. "PK\u0003\u0004 and no more"u8])).ShouldContain("no zip archive");
        (await RefusalAsync(Zip(("TrainingInfo/Version.txt", new byte[100 << 20])), "unsafe-archive")).ShouldContain("far more");
        (await RefusalAsync(Zip(("../outside", new byte[10])), "unsafe-archive")).ShouldContain("climbs out");
        (await RefusalAsync(Zip(("readme.txt", new byte[10])))).ShouldContain("cannot load");

        async Task<string> RefusalAsync(byte[] file, string code = "mlnet-does-not-load")
        {
            await tenant.Developer.PostAsync("api/v1/registry/models", System.Net.Http.Json.JsonContent.Create(new { name = "m" }));
            var content = new ByteArrayContent(file) { Headers = { ContentType = new("application/octet-stream") } };
            var problem = await (await tenant.Developer.PostAsync("api/v1/registry/models/m/versions", content)).ShouldRefuseAsync(400, code);
            return problem.GetProperty("detail").GetString()!;
        }
    }

    [Fact]
    public void Many_threads_on_one_model_get_the_answers_of_one()
    {
        var (archive, expected) = Train();
        using var model = MlNetModel.Open(archive);
        using var gate = new RunGate(8, 0, TimeSpan.FromMinutes(1), Plans.Waits, TimeProvider.System);
        Parallel.For(0, 8, _ =>
        {
            var seat = gate.TryEnter("t", default)!;
            using var set = new TensorSet([.. model.Signature.Inputs.Select(TensorLayout.Of)], [.. model.Signature.Outputs.Select(TensorLayout.Of)]);
            var (size, city) = (set.Inputs.Single(input => input.Layout.Name == "Size"), set.Inputs.Single(input => input.Layout.Name == "City"));
            for (var round = 0; round < 50; round++)
            {
                set.Clear();
                foreach (var input in set.Inputs)
                {
                    input.SetShape(expected.Count, 1);
                    input.Resize(expected.Count);
                }
                for (var i = 0; i < expected.Count; i++)
                {
                    size.Set(i, expected[i].Size);
                    city.SetText(i, System.Text.Encoding.UTF8.GetBytes(expected[i].City));
                }
                model.Run(set, [0], seat);
                set.Outputs[0].Values<float>().ToArray().ShouldBe(expected.Select(one => one.Price));
            }
            gate.Exit(seat);
        });
    }

    private static byte[] Zip(params (string Name, byte[] Content)[] entries)
    {
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create))
        {
            foreach (var (name, content) in entries)
            {
                using var entry = zip.CreateEntry(name).Open();
                entry.Write(content);
            }
        }
        return stream.ToArray();
    }

    /// <summary>Boosted trees over a number and a category, and what they answer by ML.NET's own way of asking.</summary>
    private static (byte[] Archive, List<(float Size, string City, float Price)> Expected) Train()
    {
        var ml = new MLContext(seed: 1);
        var random = new Random(3);
        Flat[] flats = [.. Enumerable.Range(0, 400).Select(_ => (Size: random.Next(20, 200), North: random.Next(2) == 0))
            .Select(flat => new Flat { Size = flat.Size, City = flat.North ? "north" : "south", Price = (flat.Size * 3) + (flat.North ? 100 : 0) })];
        var data = ml.Data.LoadFromEnumerable(flats);
        var model = ml.Transforms.Categorical.OneHotEncoding("Place", nameof(Flat.City))
            .Append(ml.Transforms.Concatenate("Features", nameof(Flat.Size), "Place"))
            .Append(ml.Regression.Trainers.FastTree(nameof(Flat.Price), numberOfTrees: 20)).Fit(data);
        using var archive = new MemoryStream();
        ml.Model.Save(model, data.Schema, archive);
        var engine = ml.Model.CreatePredictionEngine<Flat, Priced>(model);
        return (archive.ToArray(), [.. flats.Take(12).Select(flat => (flat.Size, flat.City, engine.Predict(flat).Score))]);
    }

    private sealed class Flat
    {
        public float Size { get; set; }

        public string City { get; set; } = "";

        public float Price { get; set; }
    }

    private sealed class Priced
    {
        public float Score { get; set; }
    }
}
