using System.Net.Http.Json;
using Platform.Inference.Predict;
using Platform.Testing;

namespace Inference.Tests.Predict;

/// <summary>Answers that are remembered, for endpoints that ask for it.</summary>
public sealed class ResponseCacheTests
{
    [Fact]
    public async Task A_remembered_answer_is_the_same_is_written_down_and_billed_and_says_that_nothing_ran()
    {
        var tenant = await TestTenant.NewAsync().WithEndpointAsync(OnnxFiles.Houses());
        await (await tenant.Developer.PutAsJsonAsync($"{Deployments.Endpoints}/houses", new { model = "houses", alias = "live", cacheSeconds = 60 })).ShouldBeAsync(200);
        var first = await tenant.PredictedAsync(Deployments.Row);
        // The same question in other words.
        var second = await tenant.PredictedAsync("""{"inputs": {"sold": 0, "city": "north", "size": 1.0}}""");
        second.GetProperty("prediction").GetDouble().ShouldBe(first.GetProperty("prediction").GetDouble());
        second.GetProperty("id").GetString().ShouldNotBe(first.GetProperty("id").GetString());
        first.GetProperty("timings").GetProperty("run").GetDouble().ShouldBeGreaterThan(0);
        second.GetProperty("timings").GetProperty("run").GetDouble().ShouldBe(0);
        var journalled = await tenant.Developer.GetJsonAsync($"api/v1/inference/predictions/{second.GetProperty("id").GetString()}");
        journalled.GetProperty("outputs")[0].GetDouble().ShouldBe(102);
        (await tenant.PredictedAsync("""{"inputs": {"size": 2, "city": "north", "sold": 0}}""")).GetProperty("prediction").GetDouble().ShouldBe(104);
        (await tenant.UsageAsync()).ShouldBe(3);
        var counted = (await tenant.Developer.GetJsonAsync("v2/models/houses/stats")).GetProperty("model_stats")[0];
        (counted.GetProperty("inference_count").GetInt64(), counted.GetProperty("execution_count").GetInt64()).ShouldBe((2, 2));
        var stages = counted.GetProperty("inference_stats");
        (stages.GetProperty("success").GetProperty("count").GetInt64(), stages.GetProperty("cache_hit").GetProperty("count").GetInt64(), stages.GetProperty("cache_miss").GetProperty("count").GetInt64())
            .ShouldBe((3, 1, 2));
    }

    [Fact]
    public void Another_tenant_plan_input_or_wanted_output_is_another_question()
    {
        var plan = Plans.Houses();
        var key = ResponseCache.KeyOf(Ask(plan));
        ResponseCache.KeyOf(Ask(plan)).ShouldBe(key);
        ResponseCache.KeyOf(Ask(plan, size: 2)).ShouldNotBe(key);
        ResponseCache.KeyOf(Ask(plan, city: "northa")).ShouldNotBe(key);
        ResponseCache.KeyOf(Ask(plan, wanted: [])).ShouldNotBe(key);
        ResponseCache.KeyOf(Ask(With(plan.Terms with { Tenant = "other" }))).ShouldNotBe(key);
        ResponseCache.KeyOf(Ask(With(plan.Terms with { PlanVersion = 3 }))).ShouldNotBe(key);
        ResponseCache.KeyOf(Ask(With(plan.Terms with { Endpoint = "flats" }))).ShouldNotBe(key);

        ServingPlan With(EndpointTerms terms) => new(terms, plan.Version, plan.Model, plan.Admission, plan.Figures);
    }

    [Fact]
    public void What_is_remembered_stays_within_its_bytes_and_its_time()
    {
        var time = new StoppedClock();
        var cache = new ResponseCache(4000, time);
        var plan = Plans.Houses();
        plan = new ServingPlan(plan.Terms with { CacheSeconds = 10 }, plan.Version, plan.Model, plan.Admission, plan.Figures);
        for (var i = 0; i < 100; i++) cache.Remember(ResponseCache.KeyOf(Ask(plan, size: i)), Ask(plan, size: i));
        cache.Bytes.ShouldBeInRange(1, 4000);
        cache.TryFill(ResponseCache.KeyOf(Ask(plan, size: 0)), Ask(plan)).ShouldBeFalse();
        var last = Ask(plan, size: 99);
        last.Tensors.Outputs[0].Clear();
        cache.TryFill(ResponseCache.KeyOf(last), last).ShouldBeTrue();
        last.Tensors.Outputs[0].Values<float>().ToArray().ShouldBe([99f]);
        time.Now += TimeSpan.FromSeconds(10);
        cache.TryFill(ResponseCache.KeyOf(last), last).ShouldBeFalse();
    }

    private static PredictionWork Ask(ServingPlan plan, float size = 1, string city = "north", int[]? wanted = null)
    {
        var work = plan.Works.Get();
        work.Wanted = wanted ?? plan.AllOutputs;
        foreach (var tensor in work.Tensors.Inputs.Concat(work.Tensors.Outputs))
        {
            tensor.SetShape(1, 1);
            tensor.Resize(1);
            if (tensor.IsText) tensor.SetText(0, System.Text.Encoding.UTF8.GetBytes(city));
            else tensor.Set(0, size);
        }
        return work;
    }
}
