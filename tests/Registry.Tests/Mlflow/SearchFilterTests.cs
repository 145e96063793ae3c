using System.Globalization;
using CsCheck;
using Platform.Registry.Tracking;

namespace Registry.Tests.Mlflow;

public sealed class SearchFilterTests
{
    private const string Letters = "metrics.params'\"`()<>=!, ANDORLIKE0123.-\\%\0é";

    [Theory]
    [InlineData("metrics.rmse < 2", "Metric rmse Less 2")]
    [InlineData("metric.rmse>=-1.5e3", "Metric rmse GreaterOrEqual -1500")]
    [InlineData("metrics.\"a b\" != 0 and params.lr = '0.1'", "Metric a b NotEqual 0; Param lr Equal [0.1]")]
    [InlineData("metrics.`m/x-1` = .5", "Metric m/x-1 Equal 0.5")]
    [InlineData("parameters.x LIKE 'a%' AND tags.`mlflow.source.name` ilike \"%Train\"", "Param x Like [a%]; Tag mlflow.source.name ILike [%Train]")]
    [InlineData("tags.mlflow.parentRunId = 'p'", "Tag mlflow.parentRunId Equal [p]")]
    [InlineData("status = 'FINISHED'", "Attribute status Equal [FINISHED]")]
    [InlineData("attributes.start_time >= 1664067852747", "Attribute start_time GreaterOrEqual 1664067852747")]
    [InlineData("attr.Created < 5", "Attribute start_time Less 5")]
    [InlineData("attribute.`Run name` = 'r'", "Attribute run_name Equal [r]")]
    [InlineData("run.run_id NOT IN ('a', \"b\")", "Attribute run_id NotIn [a,b]")]
    [InlineData("dataset.name IN ('x')", "Dataset name In [x]")]
    [InlineData("run_id IN ('a',)", "Attribute run_id In [a]")]
    [InlineData("run_id NOT IN ('a', 'b' , )", "Attribute run_id NotIn [a,b]")]
    [InlineData("datasets.context = 'train' AND dataset.digest != 'd'", "Dataset context Equal [train]; Dataset digest NotEqual [d]")]
    [InlineData("params.x IS NULL and tags.y is not null", "Param x IsNull []; Tag y IsNotNull []")]
    [InlineData("tags.a = 'it''s'", "Tag a Equal [it's]")]
    [InlineData("params.a = 'x AND y OR z'", "Param a Equal [x AND y OR z]")]
    [InlineData("", "")]
    [InlineData("  ", "")]
    public void A_filter_is_read(string filter, string expected) => string.Join("; ", SearchFilter.Parse(filter).Value.Select(Shown)).ShouldBe(expected);

    [Theory]
    [InlineData("metrics.rmse < 2 OR metrics.rmse > 3")]
    [InlineData("(metrics.rmse < 2)")]
    [InlineData("metrics.rmse < '2'")]
    [InlineData("metrics.rmse LIKE 2")]
    [InlineData("metrics.rmse")]
    [InlineData("metrics.rmse <")]
    [InlineData("metrics. < 2")]
    [InlineData("rmse < 2")]
    [InlineData("bogus.rmse < 2")]
    [InlineData("params.lr = 0.1")]
    [InlineData("params.lr > 'a'")]
    [InlineData("params.lr = lr")]
    [InlineData("params.lr = 'a")]
    [InlineData("params.lr IN ('a')")]
    [InlineData("tags.a NOT LIKE 'b'")]
    [InlineData("attributes.nothing = 'a'")]
    [InlineData("start_time = 'a'")]
    [InlineData("start_time LIKE '1%'")]
    [InlineData("run_id IN ()")]
    [InlineData("run_id IN ('a'")]
    [InlineData("run_id IN (,)")]
    [InlineData("run_id IN ('a',,)")]
    [InlineData("dataset.rows = 'a'")]
    [InlineData("metrics.a IS NULL")]
    [InlineData("metrics.a > 1 metrics.b > 2")]
    [InlineData("metrics.a > 1 AND")]
    [InlineData("AND")]
    [InlineData("metrics.a > 1; drop table runs")]
    [InlineData("metrics.a == 1")]
    [InlineData("tags.\"a = 'b'")]
    public void What_is_no_filter_is_refused_as_a_mistake(string filter) => SearchFilter.Parse(filter).Refusal.ShouldNotBeNull().Code.ShouldBe("INVALID_PARAMETER_VALUE");

    [Theory]
    [InlineData("metrics.rmse", "Metric rmse False")]
    [InlineData("metrics.`a b` DESC", "Metric a b True")]
    [InlineData("params.\"lr\" asc", "Param lr False")]
    [InlineData("start_time desc", "Attribute start_time True")]
    [InlineData("attributes.Created DESC", "Attribute start_time True")]
    [InlineData("tags.desc desc", "Tag desc True")]
    public void An_order_is_read(string clause, string expected)
    {
        var key = SearchFilter.ParseOrder(clause).Value;
        $"{key.Field} {key.Key} {key.Descending}".ShouldBe(expected);
    }

    [Theory]
    [InlineData("")]
    [InlineData("metrics.a DOWN")]
    [InlineData("metrics.a DESC, metrics.b")]
    [InlineData("nothing")]
    [InlineData("dataset.name")]
    public void What_is_no_order_is_refused(string clause) => SearchFilter.ParseOrder(clause).Refusal.ShouldNotBeNull();

    [Fact]
    public void What_is_written_as_a_filter_is_read_back()
    {
        var text = Gen.String[Gen.Char[' ', '~'], 0, 12];
        var key = Gen.String[Gen.Char[' ', '~'], 1, 12];
        var metric = Gen.Select(key, Gen.Enum<Comparator>().Where(c => c <= Comparator.GreaterOrEqual), Gen.Double.Where(double.IsFinite), (k, c, n) => new Comparison(RunField.Metric, k, c, n, []));
        var param = Gen.Select(key, Gen.Enum<Comparator>().Where(c => c is Comparator.Equal or Comparator.NotEqual or Comparator.Like or Comparator.ILike), text, (k, c, t) => new Comparison(RunField.Param, k, c, null, [t]));
        var listed = Gen.Select(Gen.Bool, text.Array[1, 4], (not, t) => new Comparison(RunField.Attribute, "run_id", not ? Comparator.NotIn : Comparator.In, null, t));
        Gen.OneOf(metric, param, listed).Array[1, 5].Sample(comparisons =>
            string.Join(';', SearchFilter.Parse(string.Join(" AND ", comparisons.Select(Written))).Value.Select(Shown)) == string.Join(';', comparisons.Select(Shown)));
    }

    [Fact]
    public void No_text_makes_the_reader_fail() => Gen.String[Gen.Int[0, Letters.Length - 1].Select(i => Letters[i]), 0, 40].Sample(text =>
    {
        _ = SearchFilter.Parse(text);
        _ = SearchFilter.ParseOrder(text);
        _ = RunToken.Read(text, []);
    });

    [Theory]
    [InlineData("abc", "a%", true)]
    [InlineData("abc", "%c", true)]
    [InlineData("abc", "a_c", true)]
    [InlineData("abc", "b", false)]
    [InlineData("ABC", "abc", false)]
    [InlineData("", "%", true)]
    [InlineData("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "%a%a%a%a%a%a%a%a%a%a%c", false)]
    public void Like_is_like_in_SQL(string text, string pattern, bool matches) => SearchFilter.IsLike(text, pattern, ignoreCase: false).ShouldBe(matches);

    private static string Shown(Comparison c) => $"{c.Field} {c.Key} {c.Comparator} {(c.Number is { } n ? n.ToString("R", CultureInfo.InvariantCulture) : $"[{string.Join(',', c.Texts)}]")}";

    private static string Written(Comparison c)
    {
        var (key, value) = ($"`{c.Key.Replace("`", "``")}`", c.Number is { } n ? n.ToString("R", CultureInfo.InvariantCulture) : c.Comparator is Comparator.In or Comparator.NotIn ? $"({string.Join(", ", c.Texts.Select(Quoted))})" : Quoted(c.Texts[0]));
        var symbol = c.Comparator switch
        {
            Comparator.Equal => "=",
            Comparator.NotEqual => "!=",
            Comparator.Less => "<",
            Comparator.LessOrEqual => "<=",
            Comparator.Greater => ">",
            Comparator.GreaterOrEqual => ">=",
            Comparator.Like => "LIKE",
            Comparator.ILike => "ilike",
            Comparator.In => "IN",
            _ => "NOT IN",
        };
        return $"{(c.Field is RunField.Metric ? "metrics." : c.Field is RunField.Param ? "params." : "attributes.")}{key} {symbol} {value}";

        static string Quoted(string text) => $"'{text.Replace("'", "''")}'";
    }
}
