#include "policy/privacy/names.h"

#include <pthread.h>
#include <string.h>

/* Given names. */
static const char *const given[] = {
        "aarav aaron abdul abdullah abdulrahman abena abigail adam adebayo aditi adriana agnieszka ahmad",
        "ahmed aisha ajay akira alain alan alasdair albert alberto alejandra alejandro alessandro alexander",
        "alexei alfred ali alice ama amanda amandeep amara amelie amina aminata amit amy ana analyn ananya",
        "anastasia andre andrea andreas andrei andres andrew angela anh anil anita anjali ann anna anneliese",
        "anthony antoine antonia antonio aoife arash arjun arnel arthur arturo ashley ashok aurelie azadeh",
        "babak baljit balwinder barbara beatriz behzad benjamin benoit bernard betty beverly bilal billy",
        "bjorn bobby boris bradley brandon brenda brian brigitte bronwyn bruce bryan camila camille carl",
        "carlos carmen carol carolyn catalina catherine celine chantal charles cheryl chiara chidi chinedu",
        "chiwai chloe christian christina christine christopher clarence claude colette connor constance",
        "consuelo corazon cormac cristina cynthia daniel daniela danielle danilo dariush david deborah debra",
        "declan deepak deepika denise dennis diane didier diego divya dmitri dolores dominique donald donna",
        "doris dorothy douglas duc dung dylan edith eduardo edward edwin ekaterina eleanor elena elizabeth",
        "elodie emeka emily emma enrique eric erik erlinda ernest ernesto esperanza ethan etienne eugene",
        "eunji evelyn ewan farhad farzaneh fatima fatou felipe fereshteh fernando fiona frances francesca",
        "francisca francisco francois francoise frederick friedrich gabriel gabriela gareth gary geeta",
        "genevieve george gerald gerard gilbert gilles giovanni giulia giuseppe gladys gloria gregory",
        "guadalupe guillaume guillermo guiying gurmeet gurpreet gustavo gwendolyn hamid hamza hanh hannah",
        "hans haoran harjit harold harpreet harriet haruto harvey hassan hector heike heinrich helen helene",
        "henry herbert hieu hiroshi hoa hoang hossein howard huda hung huong hussein hyejin hyunwoo ibrahim",
        "ignacio igor imelda inderjit ingeborg ingrid irene irina isabel isabella isabelle ishaan ivan jacob",
        "jacqueline jacques james janet janice jason jaspreet jasvinder jaswinder javier jean jeanpierre",
        "jeffrey jennifer jeremy jerry jesse jessica jhun jianguo jianhua jieun jihoon jiwoo jiyoung joan",
        "joaquin jocelyn johannes john johnny jomar jonathan jorge jose josee josefa joseph josephine joshua",
        "joyce juan juana judith judy julia julie julien jurgen justin kaming kamran karen karim katarzyna",
        "katherine kathleen kathryn katrin kaveh kavita kazuo keiko keith kenji kenneth kevin khadija khalid",
        "khanh kimberly kiran klaus kofi krishna krzysztof kulwinder kwame kwok kyle kyungsoo lakshmi larry",
        "lars laura lauren laurent lawrence layla leila leonard leroy liam lihua lillian linda linh lisa",
        "logan lorenzo lorna louise lourdes luc lucia lucie ludmila luigi luis mahesh mahmoud mahsa malcolm",
        "malgorzata mamadou mandeep manoj manon manpreet manuel marc marco margaret margarita marguerite",
        "maria mariana maricel marie marilyn mario marites marivic martha martine marvin mary maryam mateo",
        "mathieu matteo matthew matthias meena megan mehdi meiling melissa michael michel michelle michiko",
        "miguel mikhail minh minji minjun mohamed mohammad mohammed monique muhammad mukesh mustafa mykola",
        "nabil nadia nancy naoko nasrin natalia nathalie nathan navdeep naveen navjot neha nga ngoc ngozi",
        "nguyenthi niamh nicholas nicolas nicole nikolai niloufar nisha noah noor norma norman oleg oleksandr",
        "olga olivia olivier oluwaseun omar oscar ousmane owen pablo padraig pamela paolo paramjit parisa",
        "parminder pascal patricia patrick paul paula pedro peter petra philip philippe phuong phyllis pierre",
        "pilar piotr pooja prakash priscilla priya quang rachel radha rafael rahul raj rajesh rajinder rakesh",
        "ralph ramesh ramon randy rania ranjit rashid raul ravi raymond rebecca rekha reynaldo reza rhys",
        "ricardo richard robert roberto rodel rodrigo roger rohit rolando rommel romulo ronald rosa rowena",
        "roy russell ruth ryan sabine saeed sakura salim salma samantha samir samira samuel sandra sanjay",
        "santiago sara sarah satnam satoshi scott sean sebastien seoyeon sergei sergio sharon shirin shirley",
        "shreya siavash simone simran sinead siobhan sita siu soheil soojin sophie stanley stefan stefano",
        "stephane stephanie stephen steven sukhwinder sungmin sunil sunita suresh surjit susan sven svetlana",
        "swati sylvie takashi tam tariq tatiana teresa teresita thanh thao theodore theresa thierry thomas",
        "thuy timothy tomasz trang tuan tyler ursula valentina veronica veronique vijay vikram vincent vinod",
        "vladimir waiman walter wayne weiling weiming william willie wolfgang xavier xiaoming ximena xiuying",
        "yasmin yolanda yoshiko youngho youssef yuhan yuki yuko yuri yusuf yves zachary zahra zainab zhiwei", "zixuan"};

/* Surnames. */
static const char *const surnames[] = {
        "adams adeyemi agarwal aguilar ahmadi ahn akhtar almeida alvarez andersen anderson ansari aquino",
        "atwal aziz bailey bains banerjee barnes bauer bautista beaulieu becker begum belanger bennett",
        "bergeron bertrand bhatia bianchi blanchard bondarenko bouchard boucher brar braun brennan brien",
        "brooks bruno bui burke byrne cai callaghan cameron campbell cao carlson carmichael caron carvalho",
        "castillo castro chan charron chatterjee chaudhry chavez chen cheng cheung chiu cho choi chopra chow",
        "christensen clark cloutier cohen collins connor conti cote cruz cui dang davis delacruz demir deng",
        "desai deschamps desjardins dhaliwal dhillon diallo diaz dimaculangan ding dinh doan domingo dong",
        "donovan doyle dube dubois dunn duong durand ebrahimi edwards ellis esfahani esposito evans farouk",
        "feng ferguson fernandez ferrari fischer fisher fitzgerald fleming flores fortin foster fournier",
        "fraser friedman fung gagne gagnon gallagher garcia gauthier georgiou ghasemi ghosh gibson gill",
        "girard goldberg gomez gonzales gonzalez gosselin graham greco greenberg grewal guo gupta gutierrez",
        "guzman haddad hamdan hamilton han hansen harris harrison hartmann hasan hashemi hebert henderson",
        "hernandez herrera hickey hicks hoffmann hofmann hosseini howard hu huang hughes hundal hussain huynh",
        "hwang ibrahim inoue iqbal islam ito ivanov ivanova iyer jackson jafari jang jenkins jensen jeon",
        "jiang jimenez johal johnson jones jordan joshi jung kang kaplan kapoor karimi kato katz kaur",
        "kavanagh kaya kelly khan khanna khoury kim kimura klein kobayashi koch kovalenko kowalchuk kowalczyk",
        "kowalski krause krueger kumar kuznetsov kwan kwok kwon lam lambert lange lapointe larson laurent",
        "lavoie lawson lebedev leblanc leclerc lee lefebvre lehmann lemieux leung levesque levy lewandowski",
        "lewis liang lim lima lin liu lopez lu luo ly macapagal macdonald mackenzie macleod macpherson",
        "magsaysay maguire mak malhotra malik malley manalo mansour marino martin martinez matsumoto mcdonald",
        "mcewen mcgregor mcintyre mckenzie mclean medina mehta mendez mendoza menon mensah mercado mercier",
        "meyer michel miller mitchell mohammadi moore moradi morales moreau morgan morin morris mueller",
        "mukherjee muller munoz murphy myers nadeau nair nakamura nasser navarro ndiaye neill nelson neumann",
        "ngo nguyen nielsen nikolaidis novikov nowak ocampo okafor okonkwo oliveira olson ortiz ouellet owusu",
        "pangilinan papadopoulos paquette pascual patel patterson pedersen pelletier peng pereira perez",
        "peterson petrov petrova pham phan phillips poirier popov powell quinn qureshi rahimi rahman ramirez",
        "ramos randhawa rao reddy reilly reyes reynolds rezaei ribeiro ricci richardson richter rivera",
        "roberts robinson rodriguez rogers romano romero rosenberg ross rossi rousseau roy ruiz russell",
        "sadeghi sahota salazar saleh sanchez sanders sandhu santiago santos sasaki sato schaefer schmidt",
        "schneider schroeder schulz schwarz scott seo sethi shah shapiro sharma sheikh shevchenko shin",
        "shirazi siddiqui sidhu sidorov silva simard simmons sinclair singh smirnov smirnova smith sokolov",
        "soto souza stewart sullivan suzuki szeto tanaka tang taylor tehrani theriault thomas thompson tian",
        "tkachenko tolentino torres tran traore tremblay truong tsang valdez vargas vasquez verma villanueva",
        "vo volkov vu wagner walker wallace wang wasylyk watanabe watson weber weiss williams wilson",
        "wisniewski wong wright wu xiao xie xu yamada yamamoto yang yeung yilmaz yip yoon yoshida yuan zeng",
        "zhang zhao zhou zhu zielinski zimmermann"};

/* Given names that are words, places or what animals are called too. */
static const char *const given_too[] = {
        "al alex amber andy angel angelo april art aurora austin autumn bailey bella ben bill blue bo bob",
        "brooklyn buddy carolina carter chad charlie charlotte chase chelsea chris clay cleo cliff coco",
        "cooper crystal daisy dakota dale dan dave dawn dean diamond dick don drew duke earl ed eden faith",
        "felix florence frank gene georgia ginger glen grace grant greg gus guy hana harley hazel heath",
        "heather holly hong hope hua hunter iris israel ivy jack jackson jade jake jasmine jasper jay jeff",
        "jim jin jing joe joey jordan joy jun june kelly ken kennedy kim king kit lady lee leo lexus li lily",
        "lin lincoln ling lola lucy luna madison maggie mark mason matt max may mei mercedes mia mike miles",
        "milo min ming molly morgan nick olive oliver page paris parker pat pearl phil pierce porsche",
        "princess ray reed rex rick riley rob robin rocky ron rose roxy ruby rusty sadie sam sammy sandy",
        "sasha savannah shannon sierra sky skye sonny star steve sue summer sydney taylor ted terry tim toby",
        "tom tony trinity tucker victoria violet virginia wade wei will winston xin yan"};

/* Surnames that are words, places or syllables too. */
static const char *const surnames_too[] = {
        "abbott an armstrong arnold austin bacon bai baker bang banks barber barker bass bean bell berry best",
        "bird bishop black blunt bond bridges bright brook brown burns burton bush butler carpenter carter",
        "case cash chase church clerk cliff cole cook cooper craig crane cross curry dai dale dallas day dean",
        "diamond do drake du duke east england english field fields fish flowers ford forest fox french frost",
        "fry fuller gardener gardner german glen gold golden good gray green grey grove gu ha hall hao hardy",
        "he heath hill ho holland hong hope house houston hunt hunter ireland jia jin joy june kennedy king",
        "knight ko lake lamb lane le li lincoln little lo long love ma madison marks marsh mason may mills",
        "min mo money moon moss nam nash ng no noble north oh pace page pan park parker perry pierce pike",
        "pond poor pope porter potter power powers price prince reed ren rhodes rice rich ridge rivers rose",
        "savage sharp shi short shu silver small snow so son song south spring star steel steele stone street",
        "strong summer sun swan tao tate to turner wade ward warner washington waters watts weaver webb wells",
        "west white winter wise wolf wood woods yan yi york young yu"};

/* What ends no person's name, in English. */
static const char *const of_things[] = {
        "academy airport association ave avenue award bank bay beach blvd boulevard bridge bulldog cafe cat",
        "church city clinic co college company corp corporation county court creek cres crescent cross ct cup",
        "day department district dog dr drive foundation gmbh group heights highway holdings hospital hotel",
        "hound hwy inc institute island islands kitten lake lane library limited llc ln ltd ministry mix",
        "mount mountain museum pl place plaza plc poodle province puppy rd restaurant retriever river road",
        "school services shepherd society solutions spaniel square st station street systems terrace terrier",
        "town university valley village way"};

/* Those of PERSON_PARTICLE with more than a letter. */
static const char *const particles[] = {
        "al bin bint da das de del della den der des di dis do dos du dus el ibn la le van von"};

/* ---- the table ---- */

enum {
	SLOTS = 4096,        /* open addressing; a name is where its hash says or behind that */
	NAMES_MOST = 2048,   /* more than there are */
	TELLING_BITS = 32768 /* of which one in thirty is set: they stay in the nearest cache */
};

static struct entry {
	char text[NAMES_SIZE_MOST + 1]; /* in lower case */
	unsigned char size, kind;
} entries[NAMES_MOST];
static size_t entry_count;
static struct slot { uint16_t tag, number; /* of the entry, from 1; 0: free */ } slots[SLOTS];

static uint64_t telling[TELLING_BITS / 64]; /* a bit a hash of those that tell */

/* The first eight bytes, as lower case letters: the rest of them is zero. */
static uint64_t first_of(const char *word, size_t size) {
	uint64_t first;
	memcpy(&first, word, sizeof first);
	first |= UINT64_C(0x2020202020202020);
	return size < sizeof first ? first & ((UINT64_C(1) << size * 8) - 1) : first;
}

static uint64_t hash_of(const char *word, size_t size) {
	return (first_of(word, size) + size) * UINT64_C(0x9e3779b97f4a7c15);
}

static bool is_alike(const struct entry *entry, const char *word, size_t size) {
	if (entry->size != size || first_of(entry->text, size) != first_of(word, size))
		return false;
	for (size_t i = sizeof(uint64_t); i < size; i++)
		if (entry->text[i] != (word[i] | 0x20))
			return false;
	return true;
}

/* The slot in which a name is, or would be. */
static struct slot *slot_of(const char *word, size_t size) {
	uint64_t hash = hash_of(word, size);
	uint16_t tag = (uint16_t)(hash >> 32);
	for (size_t at = hash >> 52;; at = (at + 1) % SLOTS) {
		struct slot *slot = &slots[at];
		if (slot->number == 0 || (slot->tag == tag && is_alike(&entries[slot->number - 1], word, size)))
			return slot;
	}
}

static void add(const char *word, size_t size, unsigned kind) {
	struct entry *entry = &entries[entry_count];
	memcpy(entry->text, word, size);
	struct slot *slot = slot_of(entry->text, size);
	if (slot->number == 0) {
		slot->tag = (uint16_t)(hash_of(entry->text, size) >> 32);
		slot->number = (uint16_t)++entry_count;
		entry->size = (unsigned char)size;
	}
	entries[slot->number - 1].kind |= (unsigned char)kind;
	uint64_t bit = hash_of(entry->text, size) >> 49;
	if (kind & (NAME_GIVEN | NAME_SURNAME | NAME_PARTICLE))
		telling[bit / 64] |= UINT64_C(1) << bit % 64;
}

static void add_all(const char *const lines[], size_t count, unsigned kind) {
	for (size_t i = 0; i < count; i++)
		for (const char *at = lines[i]; *at;) {
			size_t size = strcspn(at, " ");
			add(at, size, kind);
			at += size + strspn(at + size, " ");
		}
}

static void make(void) {
	add_all(given, sizeof given / sizeof *given, NAME_GIVEN);
	add_all(surnames, sizeof surnames / sizeof *surnames, NAME_SURNAME);
	add_all(given_too, sizeof given_too / sizeof *given_too, NAME_GIVEN_TOO);
	add_all(surnames_too, sizeof surnames_too / sizeof *surnames_too, NAME_SURNAME_TOO);
	add_all(of_things, sizeof of_things / sizeof *of_things, NAME_OF_THINGS);
	add_all(particles, sizeof particles / sizeof *particles, NAME_PARTICLE);
}

void names_ready(void) {
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, make);
}

unsigned names_kind(const char *word, size_t size) {
	if (size < 2 || size > NAMES_SIZE_MOST)
		return 0;
	const struct slot *slot = slot_of(word, size);
	return slot->number ? entries[slot->number - 1].kind : 0;
}

bool names_tell(const char *word, size_t size) {
	uint64_t bit = hash_of(word, size) >> 49;
	return (telling[bit / 64] >> bit % 64 & 1) &&
	       (names_kind(word, size) & (NAME_GIVEN | NAME_SURNAME | NAME_PARTICLE));
}

/* ---- letters with marks ---- */

/* Latin letters without their marks: U+00C0 to U+017F, and Vietnamese ones, U+1EA0 to U+1EF9. */
static const char latin[] =
        "aaaaaaaceeeeiiiidnooooo ouuuuytsaaaaaaaceeeeiiiidnooooo ouuuuytyaaaaaaccccccccddddeeeeeeeeeegggg"
        "gggghhhhiiiiiiiiiiiijjkkkllllllllllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";
static const char vietnamese[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeeeeeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy";

static uint32_t code_at(const char *text, size_t size, size_t *at) {
	unsigned char lead = (unsigned char)text[(*at)++];
	uint32_t code = lead < 0x80 ? lead : lead < 0xe0 ? lead & 0x1fu : lead < 0xf0 ? lead & 0x0fu : lead & 0x07u;
	while (*at < size && ((unsigned char)text[*at] & 0xc0) == 0x80)
		code = code << 6 | ((unsigned char)text[(*at)++] & 0x3fu);
	return code;
}

/* 0: none of theirs. */
static char without_mark(uint32_t code) {
	if (code < 0x80)
		return (char)(code | 0x20);
	if (code >= 0xc0 && code <= 0x17f)
		return latin[code - 0xc0];
	if (code >= 0x1ea0 && code <= 0x1ef9)
		return vietnamese[code - 0x1ea0];
	return code == 0x1a0 || code == 0x1a1 ? 'o' : code == 0x1af || code == 0x1b0 ? 'u' : 0;
}

unsigned names_kind_of(const char *word, size_t size) {
	char whole[NAMES_SIZE_MOST + NAMES_BYTES_READ];
	size_t length = 0, part = 0; /* where the part in hand begins */
	unsigned kind = 0;
	for (size_t at = 0; at < size;) {
		uint32_t code = code_at(word, size, &at);
		if (code == '-' || code == '\'' || code == 0x2019) {
			kind |= names_kind(whole + part, length - part);
			part = length;
			continue;
		}
		if (code >= 0x300 && code <= 0x36f) /* a mark on its own */
			continue;
		char letter = without_mark(code);
		if (!letter || length == NAMES_SIZE_MOST)
			return 0;
		whole[length++] = letter;
	}
	kind |= names_kind(whole + part, length - part);
	return part > 0 ? kind | names_kind(whole, length) : kind;
}
